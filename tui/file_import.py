"""Looking into a file of feedback and taking it in, in a worker thread, with an account of every row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.capture.import_rows import Counts, ImportOptions
from core.capture.importing import Importer
from core.capture.preview import Preview, preview
from core.errors import FinetuneError
from core.loop import LearningLoop
from core.paths import Home


class StoppedError(Exception):
    """Raised inside an import that the person stops; what was read until then is kept."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of it. `stopped` where the person ended it early: the same file goes on there."""

    counts: Counts
    rejects_file: Path | None = None
    stopped: bool = False


def path_from(text: str) -> Path:
    """What was typed or dropped into the terminal, which may have quoted it. Raises FinetuneError for none."""
    shown = text.strip().strip("'\"").replace("\\ ", " ")
    if not shown:
        raise FinetuneError("No file is named.", title="Nothing to import", hint="Type or paste the path of a file.")
    path = Path(shown.removeprefix("file://")).expanduser()
    if not path.exists():
        raise FinetuneError(
            f"{path} is not there.", title="Nothing to import", hint="Check the path; the right arrow completes it."
        )
    return path


def look(home: Home, path: Path, category: str) -> Preview:
    """What an import would do, from the first rows; nothing is stored. Raises FinetuneError."""
    with LearningLoop(home) as loop:
        return preview(loop.recorder, path, ImportOptions(category, "", None, None, False))


def take_in(
    home: Home,
    path: Path,
    category: str,
    *,
    progress: Callable[[Counts, float | None], None],
    stopped: Callable[[], bool],
) -> Imported:
    """Import the file; `progress` gets the account so far and the share that was read, 0-1 or None.

    Raises FinetuneError when it cannot be read or holds nothing of a known format.
    """
    counts = Counts()

    def show(so_far: Counts, source: str) -> None:
        nonlocal counts
        counts = so_far
        progress(so_far, importer.share)
        if stopped():
            raise StoppedError

    with LearningLoop(home) as loop:
        importer = Importer(loop.recorder, processes=0)
        try:
            report = importer.run(path, ImportOptions(category, "", None, None, False), progress=show)
        except StoppedError:
            return Imported(counts, stopped=True)
    return Imported(report.counts, report.rejects_file)


def completed(text: str, limit: int = 200) -> str | None:
    """The path that `text` begins, as far as the folder's entries leave no doubt; None where nothing begins so."""
    path = Path(text).expanduser()
    folder, begun = (path, "") if text.endswith("/") else (path.parent, path.name)
    try:
        names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir() if entry.name.startswith(begun))
    except OSError:
        return None
    if not names or len(names) > limit or (not begun and not text.endswith("/")):
        return None
    first = names[0]
    return f"{text[: len(text) - len(begun)]}{first}" if begun or len(names) == 1 else None
