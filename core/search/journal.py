"""The journal of a shared search: one file that several machines append to, also on NFS, without a server."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from core.errors import StoreError


class Journal(JournalFileBackend):
    """Optuna's journal of whole lines: what a killed writer has left half done is cut away before the next line.

    `path` must be whole, since the lock beside it is a link to it. Raises StoreError for a file that cannot be read or
    written, or is no journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            super().__init__(str(path), lock_obj=_Mending(path))
        except OSError as error:
            raise self._fault(error) from error

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Every operation from that number on."""
        try:
            for line in super().read_logs(log_number_from):
                if not isinstance(line, dict) or "op_code" not in line:
                    raise ValueError("it is no journal of searches")
                yield line
        except (OSError, ValueError) as error:
            raise self._fault(error) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends operations, whole on the disk when it returns."""
        try:
            super().append_logs(logs)
        except OSError as error:
            raise self._fault(error) from error

    def _fault(self, error: OSError | ValueError) -> StoreError:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        return StoreError(
            f"{self._path} cannot be read or written: {reason}.",
            hint="Check that the disk is there, has room and may be written to, or name another file.",
        )


class _Mending(JournalFileSymlinkLock):
    """The lock of the journal; whoever gets it finds whole lines. The link works on NFS, where `flock` may not."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._journal = path

    def acquire(self) -> bool:
        """Waits for the lock; one whose owner was killed is broken after half a minute."""
        super().acquire()
        try:
            self._mend()
        except BaseException:
            self.release()
            raise
        return True

    def _mend(self) -> None:
        with self._journal.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if not size or _byte_at(file, size - 1) == b"\n":
                return
            file.seek(0)
            whole = 0
            for line in file:
                whole += len(line) if line.endswith(b"\n") else 0
            file.truncate(whole)


def _byte_at(file: Any, place: int) -> bytes:
    file.seek(place)
    found: bytes = file.read(1)
    return found
