"""FHIR R4: resources decoded with isolation, prefetch completed, facts read."""
