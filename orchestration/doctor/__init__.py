"""What `make doctor` does: looks at everything that a run depends on, says what is wrong, and mends what is safe."""
