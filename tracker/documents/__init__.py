"""What the tracker knows, as JSON documents for programs."""
