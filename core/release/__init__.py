"""From a trained adapter to a proved model file."""
