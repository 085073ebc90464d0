"""The search for good training settings: trials on one frozen dataset, with Optuna."""
