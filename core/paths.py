"""Where everything of one user lies, and how files are written whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from core.errors import FinetuneError
from storage.files import flush, partial_of

HOME_VARIABLE = "FINETUNE_TUI_HOME"
_BLOCK = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds the store, models, runs, configuration, logs and exports."""

    root: Path

    @property
    def store(self) -> Path:
        """The SQLite file."""
        return self.root / "store.db"

    @property
    def models(self) -> Path:
        """Trained versions: `<base>/<category>/v<n>/`."""
        return self.root / "models"

    @property
    def search_note(self) -> Path:
        """Says which process searches for training settings, if one was begun from the app."""
        return self.root / "search.json"

    @property
    def runs(self) -> Path:
        """One folder for each run: log and checkpoints."""
        return self.root / "runs"

    @property
    def config(self) -> Path:
        """The configuration file; it may be missing."""
        return self.root / "config.toml"

    @property
    def logs(self) -> Path:
        """Logs that belong to no run."""
        return self.root / "logs"

    @property
    def exports(self) -> Path:
        """What the user asked to be written out."""
        return self.root / "exports"

    @property
    def imports(self) -> Path:
        """What imports refused, with the reason for each row."""
        return self.root / "imports"

    @property
    def _folders(self) -> tuple[Path, ...]:
        return self.models, self.runs, self.logs, self.exports, self.imports

    def ensure(self) -> None:
        """Makes the folders that are missing, the home readable by its owner alone. Raises FinetuneError."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in self._folders:
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise FinetuneError(
                f"The folder {error.filename or self.root} cannot be made: {error.strerror}.",
                title="No place for the data",
                hint=f"Set {HOME_VARIABLE} to a folder that you may write to.",
            ) from error

    def relative(self, path: Path) -> str:
        """`path` as it is stored: relative to the home folder, with forward slashes.

        Raises FinetuneError when it lies outside.
        """
        path = path.absolute()
        for candidate, root in ((path, self.root), (path.resolve(), self.root.resolve())):
            if candidate.is_relative_to(root) and ".." not in candidate.parts:
                return candidate.relative_to(root).as_posix()
        raise _outside(str(path), self.root)

    def resolve(self, stored: str) -> Path:
        """The path of a stored name. Raises FinetuneError when the name, or a link on its way, leaves the home folder.

        The user's own links count as inside where `models`, `runs`, `logs` or `exports` itself is one: people keep
        models on another disk.
        """
        windows, name = PureWindowsPath(stored), PurePosixPath(stored)
        leaves = name.is_absolute() or windows.drive or windows.root or ".." in windows.parts
        if leaves or not stored or "\x00" in stored:
            raise _outside(stored, self.root)
        path = self.root / name
        real = path.resolve()
        if not any(real.is_relative_to(folder.resolve()) for folder in (self.root, *self._folders)):
            raise _outside(stored, self.root)
        return path


def _outside(name: str, root: Path) -> FinetuneError:
    return FinetuneError(
        f"{name!r} does not lie in {root}.",
        title="Outside the home folder",
        hint="Files of the product stay in its own folder; copy the file there first.",
    )


def locate_home(explicit: Path | None = None) -> Home:
    """The home folder: `explicit`, else $FINETUNE_TUI_HOME, else the user's data folder. Nothing is made."""
    if explicit is None and (named := os.environ.get(HOME_VARIABLE)):
        explicit = Path(named)
    if explicit is None:
        from platformdirs import user_data_path

        explicit = user_data_path("finetune-tui", appauthor=False)
    return Home(explicit.expanduser().absolute())


def write_whole(path: Path, data: bytes | str, *, mode: int | None = None) -> None:
    """Writes a file so that it is there whole or not at all, also after a power cut; text as UTF-8.

    `mode` are its permissions, from the first byte on; without it the process's own habit.
    Raises FinetuneError when it cannot be written; then the old file stands as it was.
    """
    content = data.encode("utf-8", "replace") if isinstance(data, str) else data
    partial = partial_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        flush(path.parent)
    except OSError as error:
        raise FinetuneError(
            f"{path} cannot be written: {error.strerror}.",
            title="The file was not written",
            hint="Check the free space and the permissions of its folder.",
        ) from error
    finally:
        if partial.exists():
            partial.unlink()


def free_bytes(path: Path) -> int:
    """Free space, in bytes, on the disk that holds `path` or would hold it."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def sha256_of(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """The SHA-256 of a file in hexadecimal; `progress(done, total)` hears of every 4 MiB. Raises OSError."""
    import hashlib  # not at the top: it loads OpenSSL, which the app's first frame would wait for

    total = path.stat().st_size
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()
