"""What is private in a text, by kind: each module finds its own, and tells it from what only looks like it."""
