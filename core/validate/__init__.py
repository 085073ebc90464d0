"""How good an output is: validators, quality and tier, generic content, and the gate before training."""
