"""The demonstration: its model, the corpus that the model was made from, and the feedback on it."""
