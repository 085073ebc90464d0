"""The validation score of a model in training: what a judge gives its greedy answers to the same few prompts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import islice
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from storage.rows import DatasetItem

if TYPE_CHECKING:
    from core.train.session import Session

Judge = Callable[[DatasetItem, str], float | None]
"""The score 0-100 of an answer to an item's prompt, or None where it cannot be judged."""

Scorer = Callable[["Session", Callable[[], bool]], float | None]
"""Called with a session and `should_stop`: the mean score 0-100, or None after a stop or where nothing was judged."""

_LONGER: Final = 2  # an answer that is still not done at so many times the longest known one is cut there
_SPARE_TOKENS: Final = 32
_LOOKED_AT: Final = 4  # times the prompts wanted: how many known answers are tried for some that can be judged


def validation_scorer(items: Sequence[DatasetItem], judge: Judge, *, max_tokens: int, prompts: int) -> Scorer | None:
    """Scores greedy answers to the same at most `prompts` prompts at every call, see `asked_items`.

    A prompt is asked if the judge can judge its known answer: some judges can only tell that an answer is bad, and the
    mean of what they judge says nothing. Without any such prompt there is no scorer.
    An answer has at most `max_tokens` tokens, and at most twice as many as the longest known answer and 32 more, so
    that a model that finds no end costs little.
    """
    found = (item for item in asked_items(items, _LOOKED_AT * prompts) if judge(item, item.target) is not None)
    chosen = list(islice(found, prompts))
    if not chosen:
        return None

    def score(session: Session, should_stop: Callable[[], bool]) -> float | None:
        from core.train.answers import greedy_answers

        room = min(max_tokens, _LONGER * _longest(session.tokenizer, chosen) + _SPARE_TOKENS)
        answers = greedy_answers(session, chosen, max_tokens=room, should_stop=should_stop)
        scores: list[float] = []
        for item, text in answers:
            if should_stop():
                return None
            if (value := judge(item, text)) is not None:
                scores.append(value)
        return fmean(scores) if scores and not should_stop() else None

    return score


def asked_items(items: Sequence[DatasetItem], limit: int) -> list[DatasetItem]:
    """At most `limit` items with different prompts, the first by a hash of system prompt, earlier turns and prompt.

    The order of the items does not count, and of those with the same prompt the first in position is taken.
    """
    by_hash: dict[str, DatasetItem] = {}
    for item in sorted(items, key=lambda item: item.position):
        by_hash.setdefault(_hash(item), item)
    return [by_hash[key] for key in sorted(by_hash)[: max(0, limit)]]


def _hash(item: DatasetItem) -> str:
    content = json.dumps([item.system, [dict(turn) for turn in item.history], item.prompt], sort_keys=True, default=str)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _longest(tokenizer: Any, items: Sequence[DatasetItem]) -> int:
    return max(len(tokenizer(item.target, add_special_tokens=False)["input_ids"]) for item in items)
