"""What Hard negatives does behind its screen: the tree of patterns, tests, corrections."""
