"""Checkpoints of a run: written whole, checked when read, few kept. No pickle is written or read."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import RunError
from core.paths import sha256_of
from storage.files import flush

if TYPE_CHECKING:
    import torch

ADAPTER: Final = "adapter_model.safetensors"
ADAPTER_CONFIG: Final = "adapter_config.json"
OPTIMIZER: Final = "optimizer.safetensors"
STATE: Final = "state.json"
KEPT: Final = 2
_NAME: Final = re.compile(r"step-(\d+)")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint on the disk; `state` is what the recipe needs to go on from it."""

    step: int
    folder: Path
    state: Mapping[str, Any]

    def read(self, name: str) -> bytes:
        """The safetensors file `ADAPTER` or `OPTIMIZER`."""
        return (self.folder / name).read_bytes()


def save(
    folder: Path,
    step: int,
    *,
    adapter: Mapping[str, torch.Tensor],
    write_config: Callable[[Path], None],
    optimizer: Mapping[str, torch.Tensor],
    state: Mapping[str, Any],
) -> Path:
    """Writes `folder/step-<step>` whole: a temporary folder, flushed to the disk, then renamed.

    `write_config(folder)` writes the adapter's configuration. Raises RunError when the disk refuses.
    """
    from safetensors.torch import save as serialise

    target = folder / f"step-{step}"
    with _whole(target) as partial:
        (partial / ADAPTER).write_bytes(serialise(dict(adapter)))
        (partial / OPTIMIZER).write_bytes(serialise(dict(optimizer)))
        write_config(partial)
        sums = {path.name: sha256_of(path) for path in sorted(partial.iterdir())}
        (partial / STATE).write_text(json.dumps({**state, "step": step, "sha256": sums}, indent=1), encoding="utf-8")
    return target


def latest(folder: Path, note: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint whose files are as they were written; `note` hears of every damaged one."""
    for step in sorted(_steps(folder), reverse=True):
        found = read(folder, step)
        if found is not None:
            return found
        note(f"The checkpoint of step {step} is damaged and is removed.")
        _remove(folder / f"step-{step}")
    return None


def read(folder: Path, step: int) -> Checkpoint | None:
    """The checkpoint `folder/step-<step>`, or None when it is missing or its files are not as they were written."""
    place = folder / f"step-{step}"
    try:
        state = json.loads((place / STATE).read_text(encoding="utf-8"))
        if any(sha256_of(place / name) != digest for name, digest in state["sha256"].items()):
            return None
        return Checkpoint(int(state["step"]), place, state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def prune(folder: Path, *, best_step: int | None) -> None:
    """Removes all checkpoints but the newest two and the best, and what a kill left half-written."""
    for step in sorted(_steps(folder), reverse=True)[KEPT:]:
        if step != best_step:
            _remove(folder / f"step-{step}")
    for leftover in folder.glob(".*"):
        shutil.rmtree(leftover, ignore_errors=True)


def publish(checkpoint_folder: Path, target: Path, training: Mapping[str, Any]) -> None:
    """Copies a checkpoint's adapter to `target`, with `training.json` beside it that says how it was made.

    An older adapter there is replaced. Raises RunError when the disk refuses.
    """
    with _whole(target) as partial:
        for name in (ADAPTER, ADAPTER_CONFIG):
            shutil.copyfile(checkpoint_folder / name, partial / name)
        (partial / "training.json").write_text(json.dumps(training, indent=1), encoding="utf-8")


def _steps(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `target` when the block has filled it."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        for path in partial.iterdir():
            flush(path)
        flush(partial)
        _remove(target)
        partial.replace(target)
        flush(target.parent)
    except OSError as error:
        raise RunError(
            f"{target} cannot be written: {error.strerror or error}.",
            title="The training could not be saved",
            hint="Free some space on this disk, then resume the run: it goes on from its last checkpoint.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Takes the folder's name away in one step before its files go: a kill leaves no half of it under the name."""
    if folder.exists():
        aside = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(aside, ignore_errors=True)
        folder.replace(aside)
        shutil.rmtree(aside, ignore_errors=True)
