"""What the Playground does behind its screen: models, answers, what is said of them."""
