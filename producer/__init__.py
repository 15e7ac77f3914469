"""From a request to a plan, rows and messages."""
