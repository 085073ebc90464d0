"""Base models as the form of a new run sees them: which there are, what one is, and making one ready."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import FinetuneError, ModelError
from core.paths import Home, free_bytes
from tui.words import data_size

if TYPE_CHECKING:
    from core.train.bases import KnownBase

_BYTES_PER_WEIGHT = 2


@dataclass(frozen=True, slots=True)
class BaseLook:
    """A base model by what its memory depends on. `missing` says why it cannot be trained yet, `note` what the start of
    a run does first to make it ready; both empty for one that is."""

    config: Mapping[str, Any]
    missing: str = ""
    note: str = ""


def read_bases(home: Home) -> Sequence[KnownBase]:
    """Every base model there is to choose from; asks Ollama. Raises FinetuneError for a fault in the configuration."""
    from core.config import load_config
    from core.train.bases import list_bases

    return list_bases(home, load_config(home))


def look_at(home: Home, base: str) -> BaseLook:
    """What a base model is, told from config.json or the header of its GGUF file. Nothing is made of it.

    Raises ModelError with the next step where it is not known, or is none that can be trained.
    """
    from core.train.base_model import read_config
    from core.train.presets import known_config, resolve_base

    try:
        return BaseLook(read_config(resolve_base(base, home, make=False).path))
    except ModelError as error:
        config = known_config(base, home)
        if config is None:
            raise
        held = _held_by(base)
        return BaseLook(config, "", _making(home, config, held)) if held else BaseLook(config, str(error))


def _held_by(base: str) -> str:
    """Where the GGUF file of a base model is that would be made ready at the start; empty where there is none."""
    from core.backends.by_name import OLLAMA
    from core.backends.ollama_store import find
    from core.train.presets import PRESETS

    preset = PRESETS.get(base.lower())
    if preset is None:
        return "Ollama holds it" if base.lower().startswith(OLLAMA) else "It is a GGUF file"
    try:
        return f"Ollama holds it as {find(preset.ollama).name}" if preset.ollama else ""
    except ModelError:
        return ""


def _making(home: Home, config: Mapping[str, Any], held: str) -> str:
    from core.train.footprint import model_shape

    needed = _BYTES_PER_WEIGHT * model_shape(config).parameters
    free = free_bytes(home.root)
    text = (
        f"{held}. The first start takes it apart and proves it against llama.cpp once: minutes, and "
        f"{data_size(needed)} of disk."
    )
    return f"{text} Only {data_size(free)} are free." if needed > free else text


class Stopped(Exception):
    """Somebody wanted no more of it."""


class BaseMaker:
    """Makes a base model ready in a thread that ends with the app; a worker of the app's would keep it from ending.

    `note` is told how far it is, then exactly one of `done` and `failed` is called; all three in that thread.
    """

    def __init__(
        self,
        home: Home,
        base: str,
        *,
        note: Callable[[str], object],
        done: Callable[[], object],
        failed: Callable[[BaseException], object],
    ) -> None:
        self._home, self._base = home, base
        self._note, self._done, self._failed = note, done, failed
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._make, name="base model", daemon=True).start()

    def stop(self) -> None:
        """End at the next word from it, with `failed` called for a `Stopped`."""
        self._stop.set()

    def _make(self) -> None:
        from core.train.presets import resolve_base

        try:
            resolve_base(self._base, self._home, note=self._told)
            self._told("")
        except (FinetuneError, Stopped) as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - the thread's boundary; the app reports it
            self._failed(error)
        else:
            self._done()

    def _told(self, text: str) -> None:
        if self._stop.is_set():
            raise Stopped
        if text:
            self._note(text)
