"""The linear algebra of a process that shows something to a person in one thread.

Its threads would wait for each other by keeping the cores busy: for the small tables of this package that takes several
times as long on two cores, and the person's keys wait meanwhile.
"""

from __future__ import annotations

import os
from typing import Final

_NAME: Final = "OPENBLAS_NUM_THREADS"
_SET: Final[list[str]] = []


def keep_to_one_thread() -> None:
    """Have numpy, when it is imported from now on, compute in the thread that asks; what was set already holds."""
    if _NAME not in os.environ:
        os.environ[_NAME] = "1"
        _SET.append(_NAME)


def not_for_children() -> frozenset[str]:
    """The variables that were set for this process alone."""
    return frozenset(_SET)
