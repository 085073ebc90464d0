"""What the learning components are worth: `python -m benchmarks.learning`."""
