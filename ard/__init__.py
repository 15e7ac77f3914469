"""The core: values, contracts, ports and errors of the tile pipeline. No I/O happens here."""

__version__ = "0.1.0"
