"""Pages and endpoints for people who try the service out: the sandbox EHR."""
