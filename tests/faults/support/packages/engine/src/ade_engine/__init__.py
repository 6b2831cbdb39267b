"""An engine that does what its input file says, line by line."""
