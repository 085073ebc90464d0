"""Training: settings, base models, the check before the start, the recipe, and the process that runs it."""
