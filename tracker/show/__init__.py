"""What the tracker knows, for people at a terminal."""
