"""What Train does behind its screen: the form, its outlook, runs as they go, comparisons, searches."""
