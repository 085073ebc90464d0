"""Mermaid diagrams: a parser for each kind that accepts what Mermaid's own grammar accepts, and what makes one good."""
