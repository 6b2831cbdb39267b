"""Configuration: people roster."""
