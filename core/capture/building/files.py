"""The text files of a folder, in a fixed order, and why each of the others is left out."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.capture.building.ignore import Rule, is_ignored, rules_of
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
# Controls that no text has, apart from tabs, ends of lines and pages, and the escapes of a terminal.
_CONTROLS: Final = re.compile("[\x00-\x07\x0e-\x1a\x1c-\x1f]")
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


class LeftOutError(Exception):
    """A file is no text that could be read; the message says why, in a few words."""


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
    yield from _below(root)


def _below(root: Path) -> Iterator[Candidate | Skipped]:
    """The files of a folder before those of its folders. A list of what is still to do has no limit in its depth."""
    waiting: list[tuple[Path, str, Sequence[Rule]]] = [(root, "", ())]
    while waiting:
        folder, base, above = waiting.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            yield Skipped(f"{base}/", f"cannot be read ({error.strerror})")
            continue
        rules = [*above, *_own_rules(folder, base)]
        inside: list[tuple[Path, str, Sequence[Rule]]] = []
        for entry in entries:
            name = f"{base}/{entry.name}" if base else entry.name
            if entry.is_symlink():
                yield Skipped(name, "a link")
            elif entry.is_dir(follow_symlinks=False):
                if why := _folder_left_out(Path(entry.path), name, rules):
                    yield Skipped(f"{name}/", why)
                else:
                    inside.append((Path(entry.path), name, rules))
            elif why := _file_left_out(entry, name, rules):
                yield Skipped(name, why)
            else:
                yield Candidate(name, Path(entry.path))
        waiting += reversed(inside)


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


def read_text(path: Path) -> str:
    """The text of a file with `\\n` as the end of each line. It is UTF-8, or UTF-16 or UTF-32 told by its mark; UTF-16
    also by the zeros that ASCII leaves in it. Raises LeftOutError with the reason for anything else."""
    try:
        # Without waiting: a file may have become a pipe that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise LeftOutError("no plain file")
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LeftOutError(f"cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise LeftOutError(f"larger than {MAX_BYTES // 1_000_000} MB")
    if not data.strip():
        raise LeftOutError("empty")
    encoding, skip = _encoding(data)
    try:
        text = data[skip:].decode(encoding)
    except UnicodeDecodeError as error:
        raise LeftOutError("not text") from error
    if len(_CONTROLS.findall(text)) > _CONTROL_SHARE * len(text):
        raise LeftOutError("not text")
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
