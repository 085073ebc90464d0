"""The model that writes the examples: where it lies, and asking it so that one bad chunk ends nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.backends.backend import Backend, Message, Sampling
from core.backends.by_name import in_ollama
from core.capture.building.chunks import Chunk
from core.capture.building.prompts import (
    UnreadableError,
    Written,
    corrected_messages,
    read_examples,
    teacher_messages,
)
from core.categories import Category
from core.config import Publish
from core.errors import BackendError, ModelError
from core.paths import Home
from storage.db import Store

NUM_CTX: Final = 8192
_UNREADABLE: Final = "unreadable answer"
_REFUSED: Final = "refused by the model server"
UNUSABLE: Final = frozenset({_UNREADABLE, _REFUSED})
"""The kinds of an UnusableError."""
_TOKENS: Final = 1024
_TOKENS_EACH: Final = 768
_PROBE: Final = (Message("user", "Say yes."),)


class UnusableError(Exception):
    """The teacher gave nothing for a chunk; the message says why, `kind` is one of `UNUSABLE`.

    It can be asked about the next one."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model of a backend. `model` is what the backend calls it, `name` what is written beside the examples."""

    backend: Backend
    model: str
    name: str

    def write(
        self, category: Category, notes: str, file: str, chunk: Chunk, *, wanted: int, publish: Publish
    ) -> Written:
        """Examples from a chunk; an answer that cannot be read is asked for once more, with what was wrong.

        Raises UnusableError when this chunk gives nothing, BackendError when the backend answers nothing at all.
        """
        messages = teacher_messages(category, notes, file, chunk, wanted)
        sampling = Sampling(
            temperature=publish.temperature,
            top_p=publish.top_p,
            top_k=publish.top_k,
            repeat_penalty=publish.repeat_penalty,
            max_tokens=_TOKENS + _TOKENS_EACH * wanted,
        )
        answer, cut = self._ask(messages, sampling)
        try:
            return read_examples(answer, wanted)
        except UnreadableError as error:
            first = _why(error, cut)
        answer, cut = self._ask(corrected_messages(messages, answer, first), sampling)
        try:
            return read_examples(answer, wanted)
        except UnreadableError as error:
            raise UnusableError(_UNREADABLE, f"asked twice: {_why(error, cut)}") from error

    def _ask(self, messages: list[Message], sampling: Sampling) -> tuple[str, bool]:
        """The answer, and whether it was cut off."""
        try:
            answer = self.backend.generate(self.model, messages, sampling)
        except BackendError as error:
            # A chunk that is too long for the model is no reason to stop; a server that is gone is. A question that
            # any model can answer tells the two apart.
            self.backend.generate(self.model, _PROBE, Sampling(temperature=0.0, max_tokens=1))
            raise UnusableError(_REFUSED, error.message) from error
        return answer.text, answer.finish_reason == "length"


def _why(error: UnreadableError, cut: bool) -> str:
    return f"{error}, and the answer was cut off at its longest" if cut else str(error)


def teacher_file(store: Store, home: Home, model: str) -> tuple[str, str]:
    """A teacher as `ModelsByName` takes it, and the name to write beside examples.

    It is given as a path, as `ollama:NAME`, or by the name of a version. Raises ModelError or NotFoundError when there
    is no such file or version.
    """
    if (named := in_ollama(model)) is not None:
        return model, named
    if model.endswith(".gguf") or "/" in model:
        path = Path(model).expanduser().absolute()
        if not path.is_file():
            raise ModelError(
                f"There is no model file {path}.", hint="Name a GGUF file, or a version: `finetune-tui models`."
            )
        return str(path), path.stem
    from core.release.files import gguf_path, serving_kind
    from core.release.registry import find

    version = find(store, model)
    path = gguf_path(home, version, serving_kind(version))
    if not path.is_file():
        raise ModelError(f"The file {path} of {version.name} is missing.", hint="Resume its run to export it again.")
    return str(path), version.name
