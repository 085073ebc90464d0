"""What Rank does behind its screen: which prompts wait, the question at hand, the answers of a model."""
