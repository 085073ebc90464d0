"""Which of two answers is better: pairs, rankings by a person, contradictions."""
