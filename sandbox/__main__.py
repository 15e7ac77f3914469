"""``python -m sandbox``: the ``sandbox`` command."""

from sandbox.cli import app

app()
