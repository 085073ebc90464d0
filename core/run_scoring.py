"""How a run scores its validation answers: with the validator of its category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.categories import Category
from core.train.scoring import Judge, Scorer, validation_scorer
from core.validate.registry import validated, validator_for
from storage import events
from storage.db import Store
from storage.rows import DatasetItem

if TYPE_CHECKING:
    from core.run_context import RunContext


def scorer_for(context: RunContext, items: Sequence[DatasetItem]) -> Scorer | None:
    """Scores the answers of the run's model to at most `score_prompts` of its validation items.

    None where the run asks for no scores, there are no items, or the category's validator cannot judge them.
    """
    return category_scorer(
        context.store,
        context.category,
        items,
        max_tokens=context.config.publish.max_tokens,
        prompts=context.settings.score_prompts,
    )


def category_scorer(
    store: Store, category: Category, items: Sequence[DatasetItem], *, max_tokens: int, prompts: int
) -> Scorer | None:
    """The same for any category and items; `max_tokens` is the length of an answer that the model is served with."""
    if not items or not prompts:
        return None
    return validation_scorer(items, category_judge(store, category, items), max_tokens=max_tokens, prompts=prompts)


def category_judge(store: Store, category: Category, items: Sequence[DatasetItem]) -> Judge:
    """The validator of a category as a judge of answers to these items, with what their events tell of a right answer.

    Raises CategoryError for a validator that does not exist or refuses its options.
    """
    known = {event.id: event.metadata for event in events.get_many(store, [item.event_id for item in items])}
    return judge_of(category, known)


def judge_of(category: Category, known: Mapping[int, Mapping[str, Any]]) -> Judge:
    """The validator of a category as a judge; `known` is the metadata of events by id."""
    validator = validator_for(category)

    def judge(item: DatasetItem, text: str) -> float | None:
        found = validated(validator, text, item.prompt, known.get(item.event_id, {}))
        return found.score if found.judged else None

    return judge
