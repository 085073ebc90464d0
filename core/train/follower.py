"""A process that helps with the training of a run: `python -m core.train.follower --home FOLDER`.

The process of the run starts it; who it belongs to stands in the environment (see `core.train.parallel`). What it says
goes to the log of the run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from core.errors import FinetuneError
from core.paths import Home
from core.train.team import follow_parent


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point of the process."""
    parser = argparse.ArgumentParser(prog="core.train.follower")
    parser.add_argument("--home", type=Path, required=True)
    home = Home(parser.parse_args(arguments).home.absolute())
    try:
        return follow_parent(home)
    except FinetuneError as error:
        sys.stdout.write(f"A process that took part in the training has ended: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
