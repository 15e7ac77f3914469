"""From a message to a finished tile."""
