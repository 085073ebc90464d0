"""Is the new model better? Answers, scores, and statistics that stay valid however often one looks."""
