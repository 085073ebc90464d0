"""Runs the fake: `python tests/fake_ollama …` or `python -m fake_ollama …` from the folder of the tests."""

import sys
from pathlib import Path

if not __package__:
    # As a script, the package itself and the program it tests must be found.
    sys.path[0] = str(Path(__file__).parents[1])
sys.path.append(str(Path(__file__).parents[2]))

from fake_ollama.server import main

main()
