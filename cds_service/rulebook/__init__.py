"""The rulebook: rules/ on disk, read once at start into typed, checked, immutable objects."""
