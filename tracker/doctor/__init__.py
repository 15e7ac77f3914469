"""Whether a deployment is as it should be."""
