"""What the path in front of an engine costs, measured. `python -m benchmarks` runs all of it; see `__main__`."""
