"""Text files: their encoding, their delimiter and their records."""
