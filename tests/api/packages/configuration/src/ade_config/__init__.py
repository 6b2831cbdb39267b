"""A configuration of the tests."""
