"""An engine for measurements: it says as much, as fast, as the run's metadata ask for."""

__version__ = "0.0.1"
