"""Who may call us, and which FHIR servers we may call for them."""
