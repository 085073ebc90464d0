"""The README's pictures, and the programs that make them."""
