"""A configuration that configures nothing."""
