"""The one way in: what a model answered and what a person said about it becomes a stored event."""
