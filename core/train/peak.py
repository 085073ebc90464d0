"""How much memory this process really held at most, counted as the memory plan counts it."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    import torch

_EVERY: Final = 0.002  # seconds; the peak of a step lasts longer
_STATUS: Final = Path("/proc/self/status")
_MAPS: Final = Path("/proc/self/maps")
_WEIGHTS: Final = ".safetensors"


class PeakMemory:
    """Watches this process while it is entered.

    On a computer it counts what the process itself has written (not the code of libraries, which others share) and the
    weights that are read straight from their file. Of a GPU it counts what torch has reserved.
    """

    def __init__(self) -> None:
        self._written = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self._written = max(self._written, _written())
            if self._done.wait(_EVERY):
                return

    def total(self, model: Any, device: torch.device) -> int:
        """Bytes at the peak so far, of a process that trains this model there; on a GPU without the CUDA context."""
        import torch

        if device.type == "cuda":
            return int(torch.cuda.max_memory_reserved(device))
        return self._written + mapped(model)


def mapped(model: Any) -> int:
    """Bytes of a model's weights that lie in a mapped file; 0 where the system does not tell."""
    try:
        lines = [line for line in _MAPS.read_text(encoding="utf-8").splitlines() if line.endswith(_WEIGHTS)]
    except OSError:
        return 0
    places = [tuple(int(end, 16) for end in line.split()[0].split("-")) for line in lines]
    own = {value.data_ptr(): value.nbytes for value in model.parameters()}
    return sum(size for at, size in own.items() if any(first <= at < end for first, end in places))


def _written() -> int:
    try:
        text = _STATUS.read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon")) * 1024
    except (OSError, StopIteration, UnicodeDecodeError):
        import psutil

        return int(psutil.Process().memory_info().rss)
