"""The file of what an import refused: one JSON object a line, with the place, the reason and the row itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from core.capture.import_rows import Taken
from core.errors import FinetuneError

_ROW_CHARS: Final = 100_000


class Rejects:
    """Appends to `path`, made when the first row is refused and readable by its owner alone.

    What stands behind the first `keep` bytes was written for a batch that was never stored, and is cut off.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self._path = path
        self._keep = keep
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        if self._path.exists():
            try:
                if self._keep:
                    os.truncate(self._path, self._keep)
                else:
                    self._path.unlink()
            except OSError as error:
                raise self._unwritable(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, one: Taken, reason: str, *, part: bool = False) -> None:
        """Keeps a refused row; with `part` the rest of the row was taken."""
        written = {"file": one.source, "line": one.row.number, "reason": reason, "part": part, "row": one.row.value}
        try:
            text = json.dumps(written, ensure_ascii=True, default=str)
        except (ValueError, RecursionError):  # a row nested thousands deep
            text = json.dumps({**written, "row": None})
        if len(text) > _ROW_CHARS:
            text = json.dumps({**written, "row": None, "row_chars": len(text)})
        try:
            if self._file is None:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                self._file = os.fdopen(descriptor, "ab")
            self._file.write(text.encode() + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def flush(self) -> int:
        """Hands everything to the system; the size of the file in bytes."""
        if self._file is None:
            return self._keep
        try:
            self._file.flush()
            return self._file.tell()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> FinetuneError:
        return FinetuneError(
            f"{self._path} cannot be written: {error.strerror or error}.",
            title="The import stopped",
            hint="Make room or permit writing there, then start the same import again: it goes on where it was.",
        )
