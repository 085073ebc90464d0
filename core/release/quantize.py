"""The last pass over every GGUF file: llama.cpp's own quantiser, in a child process.

A file that llama.cpp wrote stays the same, byte for byte, when a server rewrites it on import, so its SHA-256 is the
one the server will store. The pass also refuses a file that llama.cpp could not read.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.backends.child_process import command, environment, log_tail
from core.errors import ExportError
from core.paths import sha256_of
from storage.files import flush

# Name -> llama.cpp's `llama_ftype`.
KINDS = {
    "f16": 1,
    "bf16": 32,
    "q8_0": 7,
    "q6_k": 18,
    "q5_k_m": 17,
    "q5_k_s": 16,
    "q5_1": 9,
    "q5_0": 8,
    "q4_k_m": 15,
    "q4_k_s": 14,
    "q4_1": 3,
    "q4_0": 2,
    "iq4_nl": 25,
    "iq4_xs": 30,
}
POLL_SECONDS = 0.1
_NUMBERS = re.compile(rb"(\d+) (\d+)\n")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A whole GGUF file: its SHA-256 in hexadecimal, its size in bytes, its kind (a key of `KINDS`)."""

    path: Path
    sha256: str
    bytes: int
    kind: str


def quantize(
    source: Path,
    target: Path,
    kind: str,
    *,
    cancelled: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> GgufFile:
    """Write `source`, a float16 GGUF file, as `target` of the given kind; "f16" keeps every value.

    The target is there whole or not at all. `cancelled` is asked ten times a second, and `progress(done, total)` told
    of tensors; what either raises ends the work. Raises ExportError for an unknown kind, a source that llama.cpp cannot
    read, a full disk, or when cancelled.
    """
    if kind not in KINDS:
        raise ExportError(f"Unknown kind of GGUF file {kind!r}.", hint=f"Choose one of: {', '.join(KINDS)}.")
    return made_whole(target, kind, lambda partial: _run(source, partial, kind, cancelled, progress))


def made_whole(target: Path, kind: str, write: Callable[[Path], None]) -> GgufFile:
    """Lets `write` make a file of that kind at the path it is given, and puts it to `target`, flushed to the disk.

    The target is there whole or not at all, whatever `write` raises; an OSError becomes an ExportError.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        digest, size = sha256_of(partial), partial.stat().st_size
        partial.replace(target)
        flush(target.parent)
    except OSError as error:
        raise ExportError(
            f"{target.name} cannot be written: {error.strerror or error}.",
            hint="Check the free space and the permissions of its folder.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return GgufFile(target, digest, size, kind)


def _run(
    source: Path, partial: Path, kind: str, cancelled: Callable[[], bool] | None, progress: Progress | None
) -> None:
    with tempfile.TemporaryDirectory(prefix="finetune-quantize-") as folder:
        log, told = Path(folder) / "log.txt", Path(folder) / "progress.txt"
        with log.open("wb") as stderr, told.open("wb") as stdout:
            child = subprocess.Popen(
                command("core.release.quantize_child", str(source), str(partial), kind),
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                env=environment(),
                start_new_session=True,
            )
        done = (0, 0)
        try:
            while True:
                if cancelled is not None and cancelled():
                    raise ExportError(
                        "The export was stopped.", hint="Start it again when you like; nothing is left behind."
                    )
                try:
                    code = child.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if progress is not None and (now := _last_numbers(told)) not in {None, done}:
                        progress(*(done := now))
            if progress is not None and (last := _last_numbers(told)) is not None:
                progress(last[1], last[1])
        finally:
            child.kill()
            child.wait()
            if child.stdin is not None:
                child.stdin.close()
        if code != 0 or not partial.is_file():
            raise ExportError(
                f"llama.cpp could not write {source.name} as {kind} (code {code}). It last said:\n{log_tail(log)}",
                hint="Check the free space; if there is enough, the model file cannot be read by llama.cpp.",
            )


def _last_numbers(told: Path) -> tuple[int, int] | None:
    """The last whole line that the child wrote of its progress."""
    found = _NUMBERS.findall(told.read_bytes())
    return (int(found[-1][0]), int(found[-1][1])) if found else None
