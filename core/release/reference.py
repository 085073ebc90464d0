"""The trained model as Hugging Face runs it: what a GGUF file is compared with. Imports torch inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.backends.backend import Message, turns_of
from core.release.layered import LayeredModel
from core.release.skeleton import generation_settings, loading
from core.release.vocabulary.loading import load_tokenizer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

TOKENS_A_SWEEP: Final = 1 << 14
_SCORES_AT_ONCE: Final = 1 << 26  # logits in one block: 256 MB
_ROWS: Final = 128  # blocks have a multiple of so many rows: whole slices of what llama.cpp computes at once


@dataclass(frozen=True, slots=True)
class Scores:
    """The logits of one sequence, made in blocks when they are asked for: a vocabulary times many tokens is large."""

    _model: LayeredModel
    _states: torch.Tensor
    _vocabulary: int

    def blocks(self, stop: int | None = None) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """(place of the first row, float32 [rows, vocabulary]) in order, up to the token `stop`, as in a slice."""
        step = max(1, _SCORES_AT_ONCE // self._vocabulary // _ROWS) * _ROWS
        states = self._states[:stop]
        for start in range(0, len(states), step):
            yield start, self.rows(start, min(step, len(states) - start))

    def rows(self, start: int, count: int) -> npt.NDArray[np.float32]:
        """The logits after `count` tokens from `start` on, float32 [count, vocabulary]."""
        made: npt.NDArray[np.float32] = self._model.logits(self._states[start : start + count]).numpy()
        return made


class Reference:
    """A model folder in float32 on the CPU, its weights rounded to float16 first, which is how files keep them.

    With an adapter, base and adapter are kept apart and nothing is rounded. `memory` bounds what the weights take in
    bytes (default: half of what is free); a larger model is run layer by layer, with the same results.
    Raises ModelError where the folder cannot be loaded.
    """

    def __init__(self, folder: Path, adapter: Path | None = None, *, memory: int | None = None) -> None:
        self._folder = folder
        self._adapter = adapter
        self._memory = memory

    @cached_property
    def tokenizer(self) -> Any:
        with loading(self._folder):
            return load_tokenizer(self._folder)

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        with loading(self._folder):
            return AutoConfig.from_pretrained(self._folder, local_files_only=True)

    @cached_property
    def _model(self) -> LayeredModel:
        with loading(self._folder):
            return LayeredModel(self._folder, self._adapter, memory=self._memory)

    @property
    def context_length(self) -> int:
        """Tokens the model was trained for."""
        return int(self._config.max_position_embeddings)

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding."""
        return int(self._config.vocab_size)

    @cached_property
    def end_ids(self) -> list[int]:
        """Tokens at which generation stops: the tokenizer's end token, then those of the generation settings."""
        named = generation_settings(self._folder, self._config).eos_token_id
        others = named if isinstance(named, list) else [named]
        return list(dict.fromkeys(int(i) for i in (self.tokenizer.eos_token_id, *others) if i is not None))

    def encode(self, text: str, *, add_special: bool = False) -> list[int]:
        """Token ids of a text."""
        return list(self.tokenizer.encode(text, add_special_tokens=add_special))

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The prompt that the chat template makes. Raises jinja2.TemplateError where the template refuses."""
        return str(
            self.tokenizer.apply_chat_template(
                turns_of(messages),
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
            )
        )

    def sweep(self, sequences: Sequence[Sequence[int]]) -> Iterator[Scores]:
        """The scores of the next token after each token of each sequence, in the order given.

        A model that does not stay in memory is read once for all sequences, or once for every `TOKENS_A_SWEEP` tokens.
        """
        for group in _groups(sequences, TOKENS_A_SWEEP):
            with loading(self._folder):
                states = self._model.states(group)
            for state in states:
                yield Scores(self._model, state, self.vocabulary)

    def logits(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """Scores of the next token after each given one, [len(tokens), vocabulary]."""
        import numpy as np

        return np.concatenate([block for scores in self.sweep([tokens]) for _, block in scores.blocks()])


def _groups(sequences: Sequence[Sequence[int]], most: int) -> Iterator[list[Sequence[int]]]:
    """Neighbours together as long as they have at most so many tokens; a longer sequence goes alone."""
    group: list[Sequence[int]] = []
    for sequence in sequences:
        if group and sum(map(len, group)) + len(sequence) > most:
            yield group
            group = []
        group.append(sequence)
    if group:
        yield group
