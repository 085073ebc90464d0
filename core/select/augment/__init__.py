"""Augmentation: new examples from those that people approved, each with a proof that it means the same."""
