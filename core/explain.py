"""Why an event counts as it does: every part of its reward, quality, difficulty and information, the verdict of the
gate, and what it was used for. Where it stands among the others of its category is worked out in `core.standing`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from core.categories import Category, select_of
from core.config import Config, Select
from core.select.active import Candidate, value_parts
from core.select.difficulty import difficulty, lesson_difficulty
from core.select.lessons import Lesson, lessons_from, reward_of
from core.select.own_reward import reward_function
from core.select.reward import Reward
from core.standing import LARGEST, Standing, standings
from core.validate.feedback import current_feedback_type
from core.validate.gate import Held
from core.validate.quality import assess_event
from core.validate.registry import validated, validator_for
from storage import event_uses, events, retention
from storage.db import Store
from storage.event_uses import DatasetUse, PairUse
from storage.rows import EventRow, FeedbackType, Tier, Verdict

if TYPE_CHECKING:
    from core.paths import Home
    from core.select.dataset import Selection

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class RewardParts:
    """strength = (base + bonus) × difficulty_factor, or `own`; raw = strength × decay × balance; value = raw within ±1.

    `difficulty` (0-1) is that of the request; `recent` counts the events of the category in 30 days.
    """

    value: float
    raw: float
    strength: float
    worth: float
    base: float
    bonus: float
    feedback_type: FeedbackType
    age_days: float
    decay: float
    difficulty: float
    difficulty_factor: float
    recent: int
    balance: float
    own: float | None


@dataclass(frozen=True, slots=True)
class QualityParts:
    """`parts` maps each part that counted to its share of `value` (0-1); `missing` those that did not to their weight;
    `needed` is the least tier that is trained on."""

    value: float
    tier: Tier
    needed: Tier
    parts: Mapping[str, float]
    missing: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DifficultyParts:
    """value = 0.25 × complexity + 0.25 × length + 0.5 × missed, each 0-1."""

    value: float
    complexity: float
    length: float
    missed: float


@dataclass(frozen=True, slots=True)
class InformationParts:
    """uncertainty = 0.4 × missed + 0.3 × corrected + 0.3 × type; own = what uncertainty and quality, weighted, come to.

    To `own` the diversity is added, up to `diversity_weight`: how unlike the event is what was chosen before it.
    """

    uncertainty: float
    missed: float
    corrected: float
    type: float
    own: float
    diversity_weight: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """All of it, as JSON values with `to_json`. `held` is why the event alone could not be trained on, empty where it
    could; `standing` says more, None until the whole category was looked at: `no_standing` is why the app does not do
    that, empty where it does. `faults` are those of the own reward."""

    event_id: int
    category: str
    model: str
    created_at: float
    score: float | None
    verdict: Verdict | None
    corrected: bool
    reward: RewardParts
    quality: QualityParts
    difficulty: DifficultyParts
    information: InformationParts
    held: str
    held_kind: str
    pairs: tuple[PairUse, ...]
    datasets: tuple[DatasetUse, ...]
    faults: tuple[str, ...]
    standing: Standing | None = None
    no_standing: str = ""

    @property
    def trained_in(self) -> tuple[str, ...]:
        """The versions that learned from it, newest first."""
        names = [each.version for each in self.datasets if each.version is not None and each.split == "train"]
        return tuple(dict.fromkeys(names))

    def to_json(self) -> dict[str, Any]:
        """The same as one JSON object."""
        return {**asdict(self), "trained_in": list(self.trained_in)}


def explain(
    store: Store,
    home: Home,
    config: Config,
    categories: Mapping[str, Category],
    event_id: int,
    *,
    now: float | None = None,
    selection: Selection | None = None,
    limit: int | None = None,
) -> Explanation:
    """Everything about an event, as of `now` (seconds, default: this moment).

    The next batch is `selection`, else what a training of `limit` examples (None: as many as the loop would take) would
    hold. An event whose category is not configured any more has no standing. Raises NotFoundError.
    """
    at = time.time() if now is None else now
    event = events.get(store, event_id)
    own = categories.get(event.category)
    alone = explain_event(store, home, config, own or Category(name=event.category, title=""), event, now=at)
    if own is None:
        return alone
    known = standings(store, home, config, own, now=at, limit=limit, selection=selection)
    return replace(alone, standing=known.of(event_id), no_standing="")


def explain_event(
    store: Store, home: Home, config: Config, category: Category, event: EventRow, *, now: float
) -> Explanation:
    """What is known of an event without looking at the others of its category; takes some milliseconds."""
    constants = select_of(category, config)
    recent = events.recent_count(store, event.category, now - events.RECENT_SECONDS)
    function = reward_function(category, home)
    found = next(lessons_from([event], category, now=now, recent=recent, common=(), constants=constants, own=function))
    held = found if isinstance(found, Held) else None
    total = retention.total(store, event.category)
    crowd = f"not worked out among {total:,}; `finetune-tui explain {event.id}` does it" if total > LARGEST else ""
    worth = (
        found.reward if isinstance(found, Lesson) else _reward(event, category, home, constants, now=now, recent=recent)
    )
    return Explanation(
        event_id=event.id,
        category=event.category,
        model=event.model,
        created_at=event.created_at,
        score=event.score,
        verdict=event.verdict,
        corrected=bool(event.correction),
        reward=_reward_parts(worth, event, category, now, recent),
        quality=_quality_parts(event, category),
        difficulty=_difficulty_parts(event, category),
        information=_information_parts(event, category, constants),
        held="" if held is None else held.reason,
        held_kind="" if held is None else held.kind,
        pairs=tuple(event_uses.pairs_of(store, event.id)),
        datasets=tuple(event_uses.datasets_of(store, event.id)),
        faults=tuple(each.message for each in function.faults) if function is not None else (),
        no_standing=crowd,
    )


def _reward(event: EventRow, category: Category, home: Home, constants: Select, *, now: float, recent: int) -> Reward:
    """The reward of an event that the gate holds back: of its correction where it has one, as for a lesson."""
    score = event.score
    if event.correction:
        validation = validated(validator_for(category), event.correction, event.prompt, event.metadata)
        score = validation.score if validation.judged else None
    own = reward_function(category, home)
    return reward_of(event, score, category, now=now, recent=recent, constants=constants, own=own)


def _reward_parts(worth: Reward, event: EventRow, category: Category, now: float, recent: int) -> RewardParts:
    return RewardParts(
        value=worth.value,
        raw=worth.raw,
        strength=worth.strength,
        worth=worth.worth,
        base=worth.base,
        bonus=worth.bonus,
        feedback_type=current_feedback_type(event),
        age_days=max(0.0, (now - event.created_at) / _DAY),
        decay=worth.decay,
        difficulty=difficulty(category.complexity, len(event.prompt), len(event.context)),
        difficulty_factor=worth.difficulty_factor,
        recent=recent,
        balance=worth.balance,
        own=worth.own,
    )


def _quality_parts(event: EventRow, category: Category) -> QualityParts:
    found = assess_event(event, category)
    missing = {
        part: weight for part, weight in category.quality_weights.items() if weight > 0.0 and part not in found.parts
    }
    return QualityParts(found.quality, found.tier, category.min_tier, dict(found.parts), missing)


def _difficulty_parts(event: EventRow, category: Category) -> DifficultyParts:
    chars = len(event.prompt) + len(event.correction or event.response)

    def of(complexity: float, length: int, score: float | None) -> float:
        return lesson_difficulty(complexity, prompt_chars=length, target_chars=0, score=score)

    # Each part is what is left when the others are nothing, so that the formula stands in one place.
    return DifficultyParts(
        value=of(category.complexity, chars, event.score),
        complexity=category.complexity,
        length=of(0.0, chars, 100.0) / of(0.0, 10**9, 100.0),
        missed=of(0.0, 0, event.score) / of(0.0, 0, 0.0),
    )


def _information_parts(event: EventRow, category: Category, constants: Select) -> InformationParts:
    kind = current_feedback_type(event)
    quality = assess_event(event, category).quality
    target = event.correction or event.response
    parts = value_parts(
        Candidate(event.id, event.category, event.prompt, target, event.score, kind, quality), constants
    )
    return InformationParts(
        parts.uncertainty, parts.missed, parts.corrected, parts.type, parts.own, constants.diversity_weight
    )
