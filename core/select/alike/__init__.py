"""How alike two texts are: by edits, by shared words, by the meaning that an embedding model sees."""
