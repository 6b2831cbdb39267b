"""The ADE engine: reads spreadsheets, maps their columns, writes a normalized workbook."""

from importlib import metadata


def engine_version() -> str:
    """The version of the installed distribution."""
    return metadata.version("ade-engine")
