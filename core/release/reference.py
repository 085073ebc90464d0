"""The trained model as Hugging Face runs it: what a GGUF file is compared with. Imports torch inside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.backends.backend import Message
from core.errors import ModelError
from core.release.vocabulary.loading import load_tokenizer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Reference:
    """A model folder in float32 on the CPU, its weights rounded to float16 first, which is how files keep them.

    With an adapter, base and adapter are kept apart and nothing is rounded.
    Raises ModelError where the folder cannot be loaded.
    """

    def __init__(self, folder: Path, adapter: Path | None = None) -> None:
        self._folder = folder
        self._adapter = adapter

    @cached_property
    def tokenizer(self) -> Any:
        with _loading(self._folder):
            return load_tokenizer(self._folder)

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        with _loading(self._folder):
            model = AutoModelForCausalLM.from_pretrained(
                self._folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
            )
            if self._adapter is None:
                return model.half().float().eval()
            from peft import PeftModel

            return PeftModel.from_pretrained(model, str(self._adapter)).eval()

    @property
    def context_length(self) -> int:
        """Tokens the model was trained for."""
        return int(self._model.config.max_position_embeddings)

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding."""
        return int(self._model.config.vocab_size)

    @cached_property
    def end_ids(self) -> list[int]:
        """Tokens at which generation stops: the tokenizer's end token, then those of the generation settings."""
        named = self._model.generation_config.eos_token_id
        others = named if isinstance(named, list) else [named]
        return list(dict.fromkeys(int(i) for i in (self.tokenizer.eos_token_id, *others) if i is not None))

    def encode(self, text: str, *, add_special: bool = False) -> list[int]:
        """Token ids of a text."""
        return list(self.tokenizer.encode(text, add_special_tokens=add_special))

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The prompt that the chat template makes. Raises jinja2.TemplateError where the template refuses."""
        return str(
            self.tokenizer.apply_chat_template(
                [{"role": message.role, "content": message.content} for message in messages],
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
            )
        )

    def logits(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """Scores of the next token after each given one, [len(tokens), vocabulary]."""
        import torch

        with torch.inference_mode():
            scores: npt.NDArray[np.float32] = self._model(torch.tensor([list(tokens)])).logits[0].float().numpy()
        return scores


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars on standard error while a model loads."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _loading(folder: Path) -> Iterator[None]:
    try:
        with quiet():
            yield
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"The model in {folder} cannot be loaded: {error}", hint="Check that the folder is complete."
        ) from error
