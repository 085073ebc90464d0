"""What an event teaches: its correction if a person wrote one, else its own answer, with all that weighs on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.categories import Category
from core.config import Select
from core.select.difficulty import difficulty, lesson_difficulty
from core.select.own_reward import RewardFunction, RewardInput, frozen
from core.select.reward import Reward, reward
from core.validate.feedback import current_feedback_type
from core.validate.gate import Held, gate
from core.validate.quality import assess_event
from core.validate.registry import validated, validator_for
from core.validate.validator import Validation
from storage.rows import EventRow, FeedbackType, NewEvent, Tier

_DAY = 86_400.0
_COMMON_PROMPTS = 3
_COMMON_KEPT = 20


@dataclass(frozen=True, slots=True)
class Lesson:
    """An event that may teach. `difficulty` is 0-1 before it is calibrated; `reward` is that of the target."""

    event: EventRow
    target: str
    corrected: bool
    feedback_type: FeedbackType
    tier: Tier
    quality: float
    reward: Reward
    difficulty: float

    @property
    def strength(self) -> float:
        """The reward before clamping, without age and balance: orders lessons the same way at any time."""
        return self.reward.strength


def lessons_from(
    events: Sequence[EventRow],
    category: Category,
    *,
    now: float,
    recent: int,
    common: Sequence[str],
    constants: Select,
    own: RewardFunction | None = None,
) -> Iterator[Lesson | Held]:
    """For each event its lesson, or why it has none, in the order given. Corrections are validated anew.

    `own` is the category's own reward function, where it has one; it collects its faults.
    """
    validator = validator_for(category)
    for event in events:
        validation: Validation | None = None
        score = event.score
        if event.correction:
            validation = validated(validator, event.correction, event.prompt, event.metadata)
            score = validation.score if validation.judged else None
        worth = reward_of(event, score, category, now=now, recent=recent, constants=constants, own=own)
        assessment = assess_event(event, category)
        held = gate(
            event, category, worth, tier=assessment.tier, corrected=validation, common=common, constants=constants
        )
        if held is not None:
            yield held
            continue
        target = event.correction or event.response
        hardness = lesson_difficulty(
            category.complexity, prompt_chars=len(event.prompt), target_chars=len(target), score=event.score
        )
        kind = current_feedback_type(event)
        yield Lesson(event, target, validation is not None, kind, assessment.tier, assessment.quality, worth, hardness)


def reward_of(
    event: EventRow | NewEvent,
    score: float | None,
    category: Category,
    *,
    now: float,
    recent: int,
    constants: Select,
    own: RewardFunction | None = None,
) -> Reward:
    """The reward of an event with that score (of its correction, where that is the lesson), by the category's `own`
    function where it has one; `recent` counts the recent events of the category."""
    kind = current_feedback_type(event)
    hardness = difficulty(category.complexity, len(event.prompt), len(event.context))
    age_days = max(0.0, (now - event.created_at) / _DAY)
    found = reward(score, kind, age_days=age_days, difficulty=hardness, recent=recent, constants=constants)
    if own is None:
        return found
    told = RewardInput(
        category=category.name,
        prompt=event.prompt,
        response=event.response,
        target=event.correction or event.response,
        context=event.context,
        score=score,
        feedback_type=kind,
        age_days=age_days,
        difficulty=hardness,
        corrected=bool(event.correction),
        metadata=frozen(event.metadata),
        builtin=reward(score, kind, age_days=0.0, difficulty=hardness, recent=0, constants=constants),
    )
    return found.replaced_by(own(told))


def common_outputs(events: Sequence[EventRow]) -> list[str]:
    """Outputs that at least three different prompts got (white space and case apart), the most common first."""
    prompts: dict[str, set[str]] = defaultdict(set)
    first: dict[str, str] = {}
    for event in events:
        plain = " ".join(event.response.split()).casefold()
        prompts[plain].add(event.prompt_hash)
        first.setdefault(plain, event.response)
    ranked = Counter({plain: len(askers) for plain, askers in prompts.items() if len(askers) >= _COMMON_PROMPTS})
    return [first[plain] for plain, _ in ranked.most_common(_COMMON_KEPT)]
