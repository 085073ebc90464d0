"""The ways in which other programs write feedback and training data down, and how each is read.

`sources` opens files, folders and archives as lists of records, `detect` tells which format a list is in, and a format
makes of each record the model outputs in it and which of them was preferred.
"""
