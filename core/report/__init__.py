"""One HTML page with what the loop has done: gathered from the store, drawn without scripts, sent as one file."""
