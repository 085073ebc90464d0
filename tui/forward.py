"""What is said on the terminal while a large store is brought to a new schema, before anything else can be shown."""

from __future__ import annotations

import sys
from pathlib import Path

from storage.db import long_way_forward

_SECONDS_A_BYTE = 3e-8


def tell_way_forward(store: Path) -> None:
    """Say on the standard error that opening this store takes a while, where it does."""
    size = long_way_forward(store)
    if size:
        seconds = max(10, round(size * _SECONDS_A_BYTE, -1))
        sys.stderr.write(
            f"The store of {size / 1e9:.1f} GB is made ready for this version of finetune-tui: once, for about "
            f"{seconds:.0f} seconds. Nothing is lost if it is broken off.\n"
        )
        sys.stderr.flush()
