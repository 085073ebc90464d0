"""What searches of a home folder have left behind: folders of trials that were broken off."""

from __future__ import annotations

import fcntl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from core.paths import Home
from core.search.process import LOCK
from core.search.study import open_storage, studies


@dataclass(frozen=True, slots=True)
class Leftover:
    """The folder of a trial, and its size in bytes."""

    folder: Path
    bytes: int


def looked_at(home: Home) -> tuple[int, frozenset[str]]:
    """The number of searches in the home folder's own file, and the folders that their trials go on in.

    Raises StoreError where the file cannot be read, or is of another version of Optuna.
    """
    with open_storage(home) as storage:
        found = studies(storage)
        trials = [trial for study in found for trial in study.get_trials(deepcopy=False)]
    kept = {trial.user_attrs.get("folder") for trial in trials if not trial.state.is_finished()}
    return len(found), frozenset(name for name in kept if name)


def leftovers(home: Home, kept: Collection[str]) -> list[Leftover]:
    """The folders of trials without a process, but those that are `kept`, since a trial goes on in them."""
    folders = sorted(folder for folder in home.runs.glob("search-*") if folder.name not in kept)
    return [Leftover(folder, _size(folder)) for folder in folders if not _at_work(folder)]


def _at_work(folder: Path) -> bool:
    try:
        with (folder / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
