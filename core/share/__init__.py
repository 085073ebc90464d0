"""What leaves the machine, and only when the user asks: datasets for other tools, and bundles for another store."""
