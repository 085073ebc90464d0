"""The text files of a folder, in a fixed order, and why each of the others is left out."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.capture.builder_ignore import Rule, is_ignored, rules_of
from core.errors import FinetuneError

MAX_BYTES: Final = 2_000_000
_IGNORE_BYTES: Final = 200_000
_TITLE: Final = "Nothing to build from"
_FOLDERS: Final = {
    "node_modules": "installed packages",
    "bower_components": "installed packages",
    "site-packages": "installed packages",
    "__pycache__": "generated",
}
_GENERATED_ENDS: Final = (".min.js", ".min.css", ".map", ".svg", ".lock")
_GENERATED_NAMES: Final = frozenset({"package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "go.sum"})
# The longer marks first: the one of UTF-32 begins with the one of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PLAIN_CONTROLS: Final = frozenset("\t\n\r\f\v\x1b\x08")
_CONTROL_SHARE: Final = 0.005
_ZERO_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be read; `name` is its path relative to the folder, with forward slashes."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is left out, or a folder (its name ends with a slash) with all that is in it."""

    name: str
    reason: str


def files_of(folder: Path) -> Iterator[Candidate | Skipped]:
    """The files below `folder` by name, or `folder` itself when it is a file. Links are never followed.

    Hidden files, installed packages, virtual environments and what a `.gitignore` names are left out without a look
    inside. Raises FinetuneError when there is no such folder or it cannot be listed.
    """
    try:
        root = folder.expanduser().resolve(strict=True)
        if root.is_file():
            yield Candidate(root.name, root)
            return
        if not root.is_dir():
            raise FinetuneError(f"{folder} is no folder.", title=_TITLE, hint="Name a folder of documents or code.")
        os.scandir(root).close()
    except (OSError, RuntimeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise FinetuneError(
            f"{folder} cannot be listed: {why}.", title=_TITLE, hint="Check the path and its permissions."
        ) from error
    yield from _below(root, "", [])


def _below(folder: Path, base: str, above: Sequence[Rule]) -> Iterator[Candidate | Skipped]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield Skipped(f"{base}/", f"cannot be read ({error.strerror})")
        return
    rules = [*above, *_own_rules(folder, base)]
    for entry in entries:
        name = f"{base}/{entry.name}" if base else entry.name
        if entry.is_symlink():
            yield Skipped(name, "a link")
        elif entry.is_dir(follow_symlinks=False):
            if why := _folder_left_out(Path(entry.path), name, rules):
                yield Skipped(f"{name}/", why)
            else:
                yield from _below(Path(entry.path), name, rules)
        elif why := _file_left_out(entry, name, rules):
            yield Skipped(name, why)
        else:
            yield Candidate(name, Path(entry.path))


def _own_rules(folder: Path, base: str) -> list[Rule]:
    try:
        with (folder / ".gitignore").open("rb") as file:
            return rules_of(file.read(_IGNORE_BYTES).decode("utf-8-sig", "replace"), base)
    except OSError:
        return []


def _folder_left_out(path: Path, name: str, rules: Sequence[Rule]) -> str | None:
    if path.name.startswith("."):
        return "hidden"
    if path.name in _FOLDERS:
        return _FOLDERS[path.name]
    if (path / "pyvenv.cfg").is_file():
        return "a virtual environment"
    return "named in .gitignore" if is_ignored(name, rules, folder=True) else None


def _file_left_out(entry: os.DirEntry[str], name: str, rules: Sequence[Rule]) -> str | None:
    if entry.name.startswith("."):
        return "hidden"
    if is_ignored(name, rules, folder=False):
        return "named in .gitignore"
    if entry.name in _GENERATED_NAMES or entry.name.lower().endswith(_GENERATED_ENDS):
        return "generated"
    return None if entry.is_file(follow_symlinks=False) else "no plain file"


def read_text(path: Path) -> str | Skipped:
    """The text of a file with `\\n` as the end of each line, or why it is left out: it is UTF-8, or UTF-16 or UTF-32
    told by its mark, UTF-16 also by the zeros that ASCII leaves in it."""
    try:
        # Without waiting: a file may have become a pipe that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Skipped(path.name, "no plain file")
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return Skipped(path.name, f"cannot be read ({error.strerror})")
    if len(data) > MAX_BYTES:
        return Skipped(path.name, f"larger than {MAX_BYTES // 1_000_000} MB")
    if not data.strip():
        return Skipped(path.name, "empty")
    encoding, skip = _encoding(data)
    try:
        text = data[skip:].decode(encoding)
    except UnicodeDecodeError:
        return Skipped(path.name, "not text")
    controls = sum(character < " " and character not in _PLAIN_CONTROLS for character in set(text))
    if controls and sum(c < " " and c not in _PLAIN_CONTROLS for c in text) > _CONTROL_SHARE * len(text):
        return Skipped(path.name, "not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _encoding(data: bytes) -> tuple[str, int]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding, len(mark)
    head = data[: 1 << 16]
    zeros = head.count(0)
    if len(data) % 2 == 0 and zeros > _ZERO_SHARE * len(head):
        even = head[::2].count(0)
        if even == 0:
            return "utf-16-le", 0
        if even == zeros:
            return "utf-16-be", 0
    return "utf-8", 0
