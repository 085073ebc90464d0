"""What the model fails on: which events, in which patterns, and what becomes of them."""
