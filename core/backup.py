"""A whole copy of the store, and of the searches beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.errors import FinetuneError, StoreError
from core.paths import Home
from core.search.places import FILE
from storage.db import backup, backup_file, open_store


def back_up(
    home: Home, target: Path, *, force: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Path]:
    """Writes a copy of the store to `target` (a file, or a folder for `store.db` in it) while others use it.

    The searches of the home folder are written beside it, with `-search.db` for its ending. Returns what was written.
    `progress(done, total)` hears of the store's pages, and ends the copy by raising. Raises FinetuneError when there is
    something already and not `force`, StoreError when it cannot be written.
    """
    if target.is_dir():
        target = target / "store.db"
    searches = target.with_name(f"{target.stem}-search.db")
    wanted = [(home.root / FILE, searches)] if (home.root / FILE).exists() else []
    for there in (target, *(copy for _, copy in wanted)):
        if there.exists() and not force:
            raise FinetuneError(f"{there} is there already.", title="No backup was written", hint="Add --force.")
    with open_store(home.store, create=False) as store:
        backup(store, target, progress=progress)
    for source, copy in wanted:
        try:
            backup_file(source, copy)
        except StoreError as error:
            raise StoreError(
                f"{error.message} The copy of the store is written: {target}.",
                title="The searches were not copied",
                hint=error.hint,
            ) from error
    return [target, *(copy for _, copy in wanted)]
