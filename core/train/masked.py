"""Examples as the model sees them, and which of their tokens are learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.train.config import Method
from core.train.data import Lesson

_SHOWN: Final = 2_000  # characters of each side in a log


@dataclass(frozen=True, slots=True)
class MaskedRow:
    """One conversation as the model reads it. `prompt` carries no loss, every token of `answer` does; `kind` says of
    pairs which answer it is, else it is empty.
    """

    prompt: str
    answer: str
    prompt_tokens: int
    answer_tokens: int
    kind: str = ""


def masked(tokenizer: Any, lessons: Sequence[Lesson], count: int = 2, *, method: Method = "sft") -> list[MaskedRow]:
    """The first `count` lessons of a method, with control tokens shown as text; of a pair both answers."""
    rows = []
    for lesson in lessons[:count]:
        kinds = ("chosen", "rejected") if method == "dpo" else ("",)  # the second answer of kto is to another prompt
        for kind, example in zip(kinds, lesson.examples, strict=False):
            start = example.answer_start
            prompt, answer = (str(tokenizer.decode(ids)) for ids in (example.ids[:start], example.ids[start:]))
            rows.append(MaskedRow(prompt, answer, start, example.answer_tokens, kind))
    return rows


def masked_rows(tokenizer: Any, lessons: Sequence[Lesson], count: int = 2, *, method: Method = "sft") -> list[str]:
    """The first `count` lessons for a log: what is read, then what is learned, and how many tokens each has."""
    return [
        f"{row.kind or 'example'}: {row.prompt_tokens} tokens read, {row.answer_tokens} learned\n"
        f"  read:    {_one_line(row.prompt)}\n  learned: {_one_line(row.answer)}"
        for row in masked(tokenizer, lessons, count, method=method)
    ]


def _one_line(text: str) -> str:
    left = len(text) - _SHOWN
    return repr(text) if left <= 0 else f"{text[:_SHOWN]!r} and {left} more characters"
