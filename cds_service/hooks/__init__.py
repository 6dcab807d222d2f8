"""CDS Hooks: requests, responses, discovery and cards."""
