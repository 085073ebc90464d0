"""Where prompts become answers: one interface, several servers."""
