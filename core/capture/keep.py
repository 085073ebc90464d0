"""Stores judged outputs: what is new is added whole, what is known already only gets what was said of it.

One output and many go the same way, so that a batch leaves in the store what its rows would have left one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from core.capture.judged import Judged, Said
from core.capture.judging import Judge
from core.categories import Category, select_of
from core.config import Config, Select
from core.select.alike.near import Texts, likeliest, nearest
from core.select.lessons import reward_of
from core.select.own_reward import RewardFunction
from core.validate.feedback import current_feedback_type
from core.validate.validator import Finding, Validation
from storage import events, judgments, near, pairs
from storage.db import Store
from storage.events import RECENT_SECONDS
from storage.rows import EventRow, FeedbackType, JudgmentKind, NewEvent, Tier

_TELLING: Final = ("skip", "good", "bad", "reject", "correct")


def precedence(at: float, verdict: JudgmentKind, correction: str | None) -> tuple[float, int, str]:
    """Orders what was said of one output: the later statement holds, at the same moment the more telling one, so that
    the outcome does not depend on which came in first."""
    return at, _TELLING.index(verdict), correction or ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of one piece of feedback. `score` is 0-100 or None, `quality` 0-1, `reward` −1 to 1 as of now.

    With `duplicate` the output was known already: `event_id` is the stored event, and what was said of it was added
    there; `changed` tells whether anything was. `said` tells whether a person judged it, `paired` whether a correction
    made a preference pair. `near_duplicate` is the older event that it nearly repeats. `correction_score` is the score
    of the correction; `sanitized` counts what was replaced, by kind.
    """

    event_id: int
    score: float | None
    valid: bool
    tier: Tier
    quality: float
    reward: float
    feedback_type: FeedbackType
    duplicate: bool
    findings: tuple[Finding, ...]
    sanitized: Mapping[str, int]
    correction_score: float | None = None
    changed: bool = True
    said: bool = False
    paired: bool = False
    near_duplicate: int | None = None


class Keeper:
    """Stores judged outputs in an open store; call it inside a transaction."""

    def __init__(
        self,
        store: Store,
        config: Config,
        categories: Mapping[str, Category],
        judge: Judge,
        own_reward: Callable[[Category], RewardFunction | None] = lambda _: None,
    ) -> None:
        self._store = store
        self._select = config.select
        self._config = config
        self._categories = categories
        self._judge = judge
        self._own_reward = own_reward
        self._rewards: dict[str, tuple[Select, RewardFunction | None]] = {}

    def keep(self, batch: Sequence[Judged], now: float, recent: dict[str, int]) -> list[Recorded]:
        """Stores the outputs in their order. `recent` holds the recent events by category, and is kept up to date."""
        ids, fresh = self._add_new(batch)
        repeats = self._near_duplicates([batch[at] for at in fresh], [ids[at] for at in fresh])
        self._count(batch, fresh, now, recent)
        results: list[Recorded] = []
        for at, one in enumerate(batch):
            if at in fresh:
                results.append(
                    self._result(one.event, one, now, recent, event_id=ids[at], near_duplicate=repeats.get(ids[at]))
                )
            else:
                results.append(self._merge(one, ids[at], now, recent))
        return results

    def _add_new(self, batch: Sequence[Judged]) -> tuple[list[int], dict[int, None]]:
        """The event of each output, and which of them (by index) are new."""
        known: dict[tuple[str, str], int] = {}
        by_category = sorted({(one.event.category, one.event.content_hash) for one in batch})
        for name, hashes in groupby(by_category, key=lambda each: each[0]):
            found = events.ids_by_hash(self._store, name, [content for _, content in hashes])
            known.update(((name, content), event_id) for content, event_id in found.items())
        fresh: dict[int, None] = {}
        first: dict[tuple[str, str], int] = {}
        for at, one in enumerate(batch):
            content = (one.event.category, one.event.content_hash)
            if content not in known and content not in first:
                first[content] = at
                fresh[at] = None
        added = events.add_many(self._store, [batch[at].event for at in fresh])
        for at, event_id in zip(fresh, added, strict=True):
            known[batch[at].event.category, batch[at].event.content_hash] = event_id
        ids = [known[one.event.category, one.event.content_hash] for one in batch]
        self._say_first([(ids[at], batch[at]) for at in fresh])
        return ids, fresh

    def _say_first(self, new: Sequence[tuple[int, Judged]]) -> None:
        judgments.add_first(
            self._store,
            [
                (event_id, said.at, said.verdict, said.correction, said.note, said.seconds)
                for event_id, said in ((event_id, one.said) for event_id, one in new)
                if said.verdict is not None
            ],
        )
        for event_id, one in new:
            if one.said.correction is not None and one.said.margin is not None:
                pairs.add(
                    self._store,
                    created_at=one.said.at,
                    category=one.event.category,
                    prompt=one.event.prompt,
                    chosen=one.said.correction,
                    rejected=one.event.response,
                    margin=one.said.margin,
                    source="correction",
                    rejected_event=event_id,
                )

    def _near_duplicates(self, new: Sequence[Judged], ids: Sequence[int]) -> dict[int, int]:
        """For each new event that nearly repeats an older one: that one."""
        known = near.sharing(self._store, (key for one in new for key in one.keys))
        candidates: list[list[int]] = []
        for event_id, one in zip(ids, new, strict=True):
            candidates.append(likeliest(one.keys, known))
            for key in one.keys:
                own = known.setdefault(key, [])
                if len(own) < near.PER_KEY:
                    own.append(event_id)
        texts: dict[int, Texts] = {
            event_id: (one.event.prompt, one.event.response) for event_id, one in zip(ids, new, strict=True)
        }
        older = {event_id for each in candidates for event_id in each} - set(texts)
        texts.update(events.texts(self._store, sorted(older)))
        near.add(self._store, {event_id: one.keys for event_id, one in zip(ids, new, strict=True)})
        repeats: dict[int, int] = {}
        for event_id, likely in zip(ids, candidates, strict=True):
            found = nearest(texts[event_id], likely, texts, self._select.near_duplicate)
            if found is not None:
                repeats[event_id] = found
        return repeats

    def _count(self, batch: Sequence[Judged], fresh: Mapping[int, None], now: float, recent: dict[str, int]) -> None:
        for at in fresh:
            event = batch[at].event
            if event.category in recent and event.created_at >= now - RECENT_SECONDS:
                recent[event.category] += 1
        for name in {one.event.category for one in batch} - set(recent):
            recent[name] = events.recent_count(self._store, name, now - RECENT_SECONDS)

    def _merge(self, one: Judged, event_id: int, now: float, recent: Mapping[str, int]) -> Recorded:
        event = events.get(self._store, event_id)
        said, validation, changed = one.said, one.said.validation, False
        if said.verdict is not None and self._is_news(event, said):
            judgments.judge(
                self._store,
                event_id,
                said.verdict,
                correction=said.correction,
                note=said.note,
                seconds=said.seconds,
                now=said.at,
            )
            validation, changed = self._judge.follow(event_id), True
            event = events.get(self._store, event_id)
        return self._result(event, one, now, recent, event_id=event_id, validation=validation, changed=changed)

    def _is_news(self, event: EventRow, said: Said) -> bool:
        """Whether a statement is to hold from now on: it was never made before, and nothing newer is in force."""
        assert said.verdict is not None
        if judgments.was_said(self._store, event.id, said.verdict, said.correction):
            return False
        if event.verdict is None or event.judged_at is None:
            return True
        new = precedence(said.at, said.verdict, said.correction)
        return new > precedence(event.judged_at, event.verdict, event.correction)

    def _result(
        self,
        event: NewEvent | EventRow,
        one: Judged,
        now: float,
        recent: Mapping[str, int],
        *,
        event_id: int,
        near_duplicate: int | None = None,
        validation: Validation | None = None,
        changed: bool = True,
    ) -> Recorded:
        correction = validation or one.said.validation
        own = self._categories[event.category]
        if own.name not in self._rewards:
            self._rewards[own.name] = select_of(own, self._config), self._own_reward(own)
        constants, function = self._rewards[own.name]
        worth = reward_of(
            event, event.score, own, now=now, recent=recent[event.category], constants=constants, own=function
        )
        return Recorded(
            event_id=event_id,
            score=event.score,
            valid=event.valid,
            tier=event.tier,
            quality=event.quality,
            reward=worth.value,
            feedback_type=current_feedback_type(event),
            duplicate=isinstance(event, EventRow),
            findings=one.findings,
            sanitized=one.event.sanitized,
            correction_score=correction.score if correction else None,
            changed=changed,
            said=one.said.verdict is not None,
            paired=changed and one.said.margin is not None,
            near_duplicate=near_duplicate,
        )
