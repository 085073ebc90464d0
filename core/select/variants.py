"""Augmented examples of a dataset: variants of its lessons, none of them near to what stands in another split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

from core.backends.by_name import ModelsByName, in_ollama
from core.categories import Category
from core.config import Select
from core.errors import ConfigError
from core.paths import Home
from core.select.alike.meaning import Meaning
from core.select.alike.similarity import near_duplicates
from core.select.augment.augment import augment
from core.select.augment.rewording import BackendParaphraser, Paraphraser
from core.select.augment.source import BY_MODEL, METHODS, Method, Source, Variant
from core.select.examples import item
from core.select.lessons import Lesson
from core.select.split import bucket, is_held_out
from core.validate.registry import validated, validator_for
from core.validate.validator import Validation
from storage.rows import DatasetItem

NEAR_OTHERS: Final = "near-copy of what is tested or validated on"


@dataclass(frozen=True, slots=True)
class _HeldOutSide:
    """The hashes of all prompts, known or not, that stand on the side of the split that is kept for testing.

    Somebody may ask such a prompt tomorrow; it would be tested on, and must not have been learned.
    """

    percent: int

    def __contains__(self, prompt_hash: object) -> bool:
        return is_held_out(bucket(str(prompt_hash)), self.percent)


def variants_of(
    lessons: Sequence[Lesson],
    apart: Sequence[tuple[str, str]],
    category: Category,
    home: Home,
    *,
    constants: Select,
    meaning: Meaning,
    seed: int,
) -> tuple[dict[int, list[DatasetItem]], dict[str, int]]:
    """Variants by the event that they stand for, and why others were refused (reason → number).

    `apart` are prompts and outputs of the other splits: no variant is a near-copy of one of them.
    Raises ConfigError for a method that is none, BackendError when the model that paraphrases cannot be asked.
    """
    validator = validator_for(category)

    def validate(prompt: str, target: str, metadata: Mapping[str, Any]) -> Validation:
        return validated(validator, target, prompt, metadata)

    with _paraphraser(constants, home) as model:
        made = augment(
            [_source(each) for each in lessons],
            validate=validate,
            embed=meaning.embed,
            semantic=meaning.semantic,
            factor=constants.augment_factor,
            floor=constants.augment_floor,
            ceiling=constants.augment_ceiling,
            seed=seed,
            success=category.success_score,
            methods=methods_of(constants.augment_methods),
            model=model,
            known=_HeldOutSide(constants.held_out_percent),
        )
    kept, near = _apart(made.items, apart, constants.near_duplicate)
    parents = {each.event.id: each for each in lessons}
    found: dict[int, list[DatasetItem]] = defaultdict(list)
    for each in kept:
        parent = parents[each.event_id].event
        own = item(parent, "train", each.target, category)
        found[each.event_id].append(replace(own, prompt=each.prompt, origin=each.origin))
    refused = dict(made.refused) | ({NEAR_OTHERS: near} if near else {})
    return dict(found), refused


def methods_of(setting: str) -> list[Method]:
    """The methods that a setting names: "all", or some of them with commas between. Raises ConfigError."""
    if setting.strip() == "all":
        return list(METHODS)
    named = [name.strip() for name in setting.split(",") if name.strip()]
    if unknown := [name for name in named if name not in get_args(Method)]:
        raise ConfigError(
            f"select.augment_methods: `{unknown[0][:40]}` is no way to augment.",
            hint=f"Known are: {', '.join(METHODS)}.",
        )
    return [method for method in METHODS if method in named]


def _source(lesson: Lesson) -> Source:
    event = lesson.event
    return Source(
        event_id=event.id,
        prompt=event.prompt,
        target=lesson.target,
        system=event.system,
        context=event.context,
        history=event.history,
        metadata=event.metadata,
        score=None if lesson.corrected else event.score,
    )


@contextmanager
def _paraphraser(constants: Select, home: Home) -> Iterator[Paraphraser | None]:
    """The model that rewords, where one is set and a method asks for it."""
    if not constants.augment_model or not BY_MODEL & set(methods_of(constants.augment_methods)):
        yield None
        return
    model = constants.augment_model
    if in_ollama(model) is None:
        path = Path(model).expanduser()
        if not path.is_file():
            hint = "Name a GGUF file or ollama:NAME, or remove the key."
            raise ConfigError(f"select.augment_model: there is no file {path}.", hint=hint)
        model = str(path)
    with ModelsByName(log=home.logs / "llamacpp.txt") as backend:
        yield BackendParaphraser(backend, model)


def _apart(made: Sequence[Variant], others: Sequence[tuple[str, str]], floor: float) -> tuple[list[Variant], int]:
    """The variants that repeat none of the other splits closely, and how many do."""
    prompts = [prompt for prompt, _ in others] + [each.prompt for each in made]
    outputs = [output for _, output in others] + [each.target for each in made]
    repeated = near_duplicates(prompts, outputs, floor, always=len(others))
    kept = [each for at, each in enumerate(made, len(others)) if repeated.get(at, len(others)) >= len(others)]
    return kept, len(made) - len(kept)
