"""Examples exactly as the trainer reads them, made in a process of its own: `python -m core.train.samples FOLDER`.

The folder holds task.json (see `read_samples`); the process leaves result.json there. It needs the tokenizer alone, so
it does not load the model.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import FinetuneError
from core.train.config import Method
from core.train.masked import MaskedRow
from core.train.own_process import as_process, in_own_process
from storage.rows import DatasetItem

MOST: Final = 1_000
"""Examples whose text comes back; the tokens of all are counted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a dataset: its rows (two of a pair), or with `reason` why it is not, or not wholly, learned from."""

    rows: tuple[MaskedRow, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Samples:
    """The first `MOST` items as the trainer reads them; `tokens` of all items, `learned` of those carry the loss.

    `longest` is the longest conversation in tokens, `left_out` counts items by the reason.
    """

    shown: tuple[Sample, ...]
    total: int
    tokens: int
    learned: int
    longest: int
    left_out: Mapping[str, int]


def read_samples(
    base: Path,
    items: Sequence[DatasetItem],
    *,
    method: Method,
    max_length: int,
    check_stop: Callable[[], None] = lambda: None,
) -> Samples:
    """Has the items tokenised by the base model's own tokenizer. Raises RunError with what went wrong."""
    task = {
        "base": str(base),
        "method": method,
        "max_length": max_length,
        "items": [asdict(item) for item in items],
    }
    told = in_own_process("core.train.samples", task, check_stop)
    shown = (Sample(tuple(MaskedRow(**row) for row in each["rows"]), each["reason"]) for each in told.pop("shown"))
    return Samples(shown=tuple(shown), **told)


def samples(told: Mapping[str, Any]) -> dict[str, Any]:
    """What becomes of the task: the fields of `Samples` as JSON values. Raises FinetuneError."""
    from core.release.vocabulary.loading import load_tokenizer
    from core.train.data import Encoder
    from core.train.masked import masked

    tokenizer, method = load_tokenizer(Path(told["base"])), told["method"]
    encoder = Encoder(tokenizer, told["max_length"])
    shown: list[dict[str, Any]] = []
    left_out: dict[str, int] = {}
    tokens = learned = longest = 0
    for values in told["items"]:
        encoded = encoder.encode_items([DatasetItem(**values)], method)
        for reason, count in encoded.counts.items():
            left_out[reason] = left_out.get(reason, 0) + count
        for lesson in encoded.lessons:
            examples = lesson.examples[:1] if method == "kto" else lesson.examples
            tokens += sum(len(one.ids) for one in examples)
            learned += sum(one.answer_tokens for one in examples)
            longest = max(longest, *(len(one.ids) for one in examples))
        if len(shown) < MOST:
            rows = [asdict(row) for row in masked(tokenizer, encoded.lessons, method=method)]
            shown.append({"rows": rows, "reason": ", ".join(encoded.counts)})
    return {
        "shown": shown,
        "total": len(told["items"]),
        "tokens": tokens,
        "learned": learned,
        "longest": longest,
        "left_out": left_out,
    }


def _unexpected(error: Exception) -> FinetuneError:
    return FinetuneError(
        f"The tokenizer of the base model cannot be used: {type(error).__name__}: {error}",
        title="The examples cannot be shown",
        hint="Try another base model.",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point of the process."""
    return as_process("core.train.samples", samples, _unexpected, arguments)


if __name__ == "__main__":
    sys.exit(main())
