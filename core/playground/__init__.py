"""Trying models on a prompt: which there are, how they answer as one watches, and what is said of the answers."""
