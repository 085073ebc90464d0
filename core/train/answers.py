"""Greedy answers of a model in training: what its scores are made of."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from core.errors import RunError
from core.train.data import conversation
from core.train.memory import out_of_memory
from storage.rows import DatasetItem

if TYPE_CHECKING:
    from core.train.session import Session

_MOST_ROWS: Final = 32
_SMALL: Final = 50_000_000  # parameters
_CACHE_SHARE: Final = 0.1  # of an accelerator's memory, for the keys and values of one batch
_CACHE_BYTES: Final = 1 << 30  # the same in the computer's own memory

Asked = tuple[int, Sequence[int]]
"""A prompt's place among the items, and its tokens."""


def greedy_answers(
    session: Session,
    items: Sequence[DatasetItem],
    *,
    max_tokens: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[tuple[DatasetItem, str]]:
    """Each item's prompt with the most likely answer of the model as it is now, in the order of the items.

    An answer ends before an end token of the tokenizer or of the model's generation settings, and after
    min(`max_tokens`, `max_length`) tokens at the latest. A prompt of `max_length` tokens or more is not asked. After a
    stop, which is heard between two tokens, the answers that were not finished are missing. The same weights give the
    same answers; neither the mode of the model nor any random generator is changed.
    Raises RunError when the memory does not hold a single answer.
    """
    longest = session.settings.max_length
    tokens = ((at, prompt_tokens(session.tokenizer, item)) for at, item in enumerate(items))
    fitting = [(at, ids) for at, ids in tokens if 0 < len(ids) < longest]
    # Longest first: what does not fit into memory shows itself at once.
    waiting = sorted(fitting, key=lambda one: (-len(one[1]), one[0]))
    texts: dict[int, str] = {}
    on_gpu = session.device.type == "cuda"
    with torch.random.fork_rng([session.device] if on_gpu else []), _few_threads(session), session.inference() as model:
        writer = _Writer(session, model, _end_ids(session), should_stop)
        most = _MOST_ROWS
        while waiting and not should_stop():
            width = len(waiting[0][1])
            limit = writer.limit(width, max_tokens)
            group = waiting[: min(most, writer.rows(width + limit))]
            written = writer.tried(group, limit)
            if written is None:
                most = len(group) // 2
                gc.collect()
                if on_gpu:
                    torch.cuda.empty_cache()
                continue
            texts |= {at: session.tokenizer.decode(ids, skip_special_tokens=True) for at, ids in written.items()}
            waiting = waiting[len(group) :]
    return [(items[at], texts[at]) for at in sorted(texts)]


@contextmanager
def _few_threads(session: Session) -> Iterator[None]:
    """One thread for a small model on a CPU: a token's work is so little that on busy cores threads only wait for one
    another (30 times longer was measured). Training has its own number back after it."""
    before = torch.get_num_threads()
    size = sum(parameter.numel() for parameter in session.model.parameters())
    if session.device.type == "cpu" and size < _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def prompt_tokens(tokenizer: Any, item: DatasetItem) -> list[int]:
    """System prompt, earlier turns and prompt as the chat template writes them, up to where the answer begins."""
    text = tokenizer.apply_chat_template(conversation(item), tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _end_ids(session: Session) -> frozenset[int]:
    settings = getattr(session.model.get_base_model(), "generation_config", None)
    named = getattr(settings, "eos_token_id", None)
    others = named if isinstance(named, list) else [named]
    return frozenset(int(end) for end in (session.tokenizer.eos_token_id, *others) if end is not None)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes answers with a model that is ready for inference."""

    session: Session
    model: Any
    ends: frozenset[int]
    should_stop: Callable[[], bool]

    def limit(self, width: int, max_tokens: int) -> int:
        """Most tokens of an answer to a prompt of `width` tokens."""
        positions = getattr(self._config, "max_position_embeddings", None)
        room = int(positions) - width if positions else max_tokens
        return max(1, min(max_tokens, self.session.settings.max_length, room))

    def rows(self, length: int) -> int:
        """How many sequences of `length` tokens may be written at once, at least 1.

        A fixed number on one machine, since the size of a batch may sway a close decision between two tokens.
        """
        config, device = self._config, self.session.device
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        each = 2 * int(config.num_hidden_layers * heads * width) * self.session.dtype.itemsize * length
        room = _CACHE_BYTES
        if device.type == "cuda":
            room = int(torch.cuda.get_device_properties(device).total_memory * _CACHE_SHARE)
        return max(1, min(_MOST_ROWS, room // each))

    @property
    def _config(self) -> Any:
        return self.model.get_base_model().config.get_text_config()

    def tried(self, group: Sequence[Asked], limit: int) -> Mapping[int, list[int]] | None:
        """`written`, or None where the memory does not hold the group."""
        try:
            return self.written(group, limit)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if len(group) == 1:
                raise RunError(
                    "The memory does not hold one answer of the model in training.",
                    hint="Set score_prompts to 0, which leaves validation to the loss, or lower the maximum length.",
                ) from error
            return None

    def written(self, group: Sequence[Asked], limit: int) -> Mapping[int, list[int]]:
        """The tokens of each answer without its end token, by the prompt's place; none of them after a stop.

        Prompts are padded on the left, so that all answers begin at the same column; a row that ended leaves the batch.
        """
        from transformers import DynamicCache

        width = max(len(ids) for _, ids in group)
        pads = [width - len(ids) for _, ids in group]
        padded = [[self.session.pad_id] * pad + list(ids) for pad, (_, ids) in zip(pads, group, strict=True)]
        inputs = torch.tensor(padded, device=self.session.device)
        seen = torch.tensor([[0] * pad + [1] * (width - pad) for pad in pads], device=self.session.device)
        positions = (seen.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache(config=self.model.get_base_model().config)
        rows = [at for at, _ in group]
        written: dict[int, list[int]] = {at: [] for at in rows}
        for _ in range(limit):
            if self.should_stop():
                return {}
            scores = self.model(
                input_ids=inputs,
                attention_mask=seen,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            chosen = scores.argmax(-1)
            going = []
            for row, token in enumerate(chosen.tolist()):
                if token not in self.ends:
                    written[rows[row]].append(token)
                    going.append(row)
            if not going:
                break
            if len(going) < len(rows):
                kept = torch.tensor(going, device=self.session.device)
                cache.batch_select_indices(kept)
                seen, positions, chosen = seen[kept], positions[kept], chosen[kept]
                rows = [rows[row] for row in going]
            seen = torch.cat([seen, seen.new_ones(len(rows), 1)], dim=1)
            positions, inputs = positions[:, -1:] + 1, chosen.unsqueeze(1)
        return written
