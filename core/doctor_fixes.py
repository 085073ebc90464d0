"""What `doctor` can mend by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from core.config import load_config
from core.errors import FinetuneError
from core.paths import Home
from core.release.ollama_serving import follow
from core.search.leftovers import leftovers, looked_at
from core.search.places import FILE
from storage.db import open_store

Note = Callable[[str], object]


def follow_store(home: Home, *, note: Note = lambda _: None) -> list[str]:
    """Makes Ollama agree with the store about what serves; says what was done. Raises FinetuneError."""
    if not home.store.exists():
        return []
    with open_store(home.store, create=False) as store:
        return follow(store, home, load_config(home), note=note)


def remove_leftovers(home: Home, *, note: Note = lambda _: None) -> list[str]:
    """Removes the folders of trials that nobody is at work on and none will go on in. Raises FinetuneError."""
    kept = looked_at(home)[1] if (home.root / FILE).exists() else frozenset[str]()
    left = leftovers(home, kept)
    for one in left:
        note(f"Removing {one.folder.name}.")
        try:
            shutil.rmtree(one.folder)
        except OSError as error:
            raise FinetuneError(
                f"{error.filename or one.folder} cannot be removed: {error.strerror}.", hint="Correct its permissions."
            ) from error
    return [f"Removed {len(left)} folders of trials, {sum(one.bytes for one in left) / 1e6:.1f} MB."] if left else []


FIXES: dict[str, Callable[..., list[str]]] = {"ollama": follow_store, "trials": remove_leftovers}
"""By `Check.fix`: each takes the home folder and `note`, and says what was done."""
