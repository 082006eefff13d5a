"""The raw contract in words, a small sample of it and the simulator that makes the sample."""
