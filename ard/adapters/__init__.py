"""The outside world: catalogues, pixels, object stores and output formats."""
