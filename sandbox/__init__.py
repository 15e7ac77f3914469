"""The whole system on one machine: made-up scenes, a local catalogue and a demonstration."""
