"""Which events teach most, how much each is worth, and the frozen dataset that a run trains on."""
