"""The bytes of a file on their way to a server, a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from core.errors import ExportError

_CHUNK_BYTES: Final = 1 << 20

# (bytes sent, bytes in all)
Progress = Callable[[int, int], None]


def pieces_of(
    path: Path, total: int, progress: Progress | None, cancelled: Callable[[], bool] | None
) -> Generator[bytes]:
    """The bytes of a file of `total` bytes. Raises ExportError out of the request that sends them, which ends it."""
    sent = 0
    try:
        with path.open("rb") as file:
            while True:
                if cancelled is not None and cancelled():
                    raise ExportError(
                        "The upload to Ollama was stopped.",
                        title="Stopped",
                        hint="Start it again when you like; nothing is left behind.",
                    )
                piece = file.read(_CHUNK_BYTES)
                sent += len(piece)
                if sent > total or (not piece and sent < total):
                    raise ExportError(
                        f"{path.name} changed its size while it was sent to Ollama.",
                        title="The model file was changed",
                        hint="Let nothing write to it, and publish again.",
                    )
                if not piece:
                    return
                yield piece
                if progress is not None:
                    progress(sent, total)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> ExportError:
    """The error for a file that cannot be opened or read."""
    return ExportError(
        f"{path} cannot be read: {error.strerror or error}.",
        title="The model file cannot be read",
        hint="Run `finetune-tui doctor` to look over the files of every version.",
    )
