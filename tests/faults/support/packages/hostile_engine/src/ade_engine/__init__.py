"""An engine that means harm: it does what its input file says, line by line."""
