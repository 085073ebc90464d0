"""The engine: who gets which variants, what is refused, and that it is the same at every asking."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from assets.demo.corpus import ideal, requests
from core.select.alike.vectors import Vectors, vectors
from core.select.augment.augment import augment
from core.select.augment.source import Augmented, Source
from core.select.split import prompt_hash
from core.validate.mermaid.er import MermaidErValidator
from core.validate.validator import Validation, not_judged

_ER = MermaidErValidator()


def er(prompt: str, target: str, metadata: Mapping[str, Any]) -> Validation:
    return _ER.validate(target, prompt=prompt, expected=metadata.get("expected"))


def accepted(prompt: str, target: str, metadata: Mapping[str, Any]) -> Validation:
    return Validation(90.0, True)


SOURCES = [
    Source(at, each.prompt, ideal(each), metadata={"expected": {"entities": list(each.entities)}})
    for at, each in enumerate(requests(3, 40, split="feedback"), 1)
]


def made(sources: Sequence[Source] = SOURCES, **settings: Any) -> Augmented:
    return augment(sources, **{"validate": er, "embed": vectors, "seed": 5, **settings})


def test_each_source_gets_at_most_one_less_than_the_factor_and_variety_comes_first() -> None:
    found = made(factor=3)
    by_source: dict[int, list[str]] = {}
    for item in found.items:
        by_source.setdefault(item.event_id, []).append(item.origin)
    assert max(map(len, by_source.values())) == 2
    assert len(found.items) >= 70
    assert set(found.by_method) == {"synonym", "paraphrase", "order"}
    different = sum(len(set(origins)) == 2 for origins in by_source.values())
    assert different >= 36
    assert found.barren == len(SOURCES) - len(by_source)


def test_a_factor_of_one_makes_nothing() -> None:
    found = made(factor=1)
    assert found.items == []
    assert found.barren == len(SOURCES)


def test_the_same_for_a_seed_whatever_the_order_and_another_for_another_seed() -> None:
    shuffled = list(SOURCES)
    random.Random(1).shuffle(shuffled)
    assert made(shuffled) == made()
    assert made(seed=6).items != made().items


def test_what_one_source_gets_does_not_depend_on_the_others() -> None:
    alone = [item for source in SOURCES for item in made([source]).items]
    assert alone == made().items


def test_a_prompt_that_is_kept_for_testing_is_never_made() -> None:
    words: list[Any] = ["synonym", "paraphrase"]
    first = made(methods=words)
    forbidden = {prompt_hash(item.prompt) for item in first.items}
    second = made(methods=words, known=forbidden)
    assert second.refused["known prompt"] > 0
    assert forbidden.isdisjoint(prompt_hash(item.prompt) for item in second.items)


def test_a_prompt_that_another_source_has_is_never_made() -> None:
    item = next(item for item in made(methods=["paraphrase"]).items)
    other = Source(999, item.prompt, SOURCES[0].target)
    found = made([*SOURCES, other], methods=["paraphrase"])
    assert prompt_hash(item.prompt) not in {prompt_hash(each.prompt) for each in found.items}


def test_every_variant_lies_between_floor_and_ceiling() -> None:
    found = made(methods=["paraphrase", "synonym"], floor=0.85, ceiling=0.93, factor=3)
    assert found.items
    assert all(0.85 <= item.similarity <= 0.93 for item in found.items)
    assert found.refused["too alike"] > 0
    assert found.refused["too different"] > 0


def test_with_an_embedding_model_the_meaning_alone_must_reach_the_floor() -> None:
    parents = {source.prompt for source in SOURCES}

    def unlike(texts: Sequence[str]) -> Vectors:
        return np.array([[1.0, 0.0] if text in parents else [0.3, 0.954] for text in texts], dtype=np.float32)

    words: list[Any] = ["synonym"]
    assert made(methods=words, embed=unlike, semantic=True).items == []
    assert made(methods=words, embed=unlike, semantic=True, floor=0.29).items


def test_the_validator_has_the_last_word() -> None:
    parents = {source.prompt for source in SOURCES}

    def lower(prompt: str, target: str, metadata: Mapping[str, Any]) -> Validation:
        return Validation(90.0 if prompt in parents else 89.0, True)

    def invalid(prompt: str, target: str, metadata: Mapping[str, Any]) -> Validation:
        return Validation(90.0, prompt in parents)

    words: list[Any] = ["synonym"]
    assert set(made(methods=words, validate=lower).refused) >= {"lower score"}
    assert made(methods=words, validate=lower).items == []
    assert made(methods=words, validate=invalid).items == []
    assert made(methods=words, validate=accepted, success=91.0).items == []
    unjudged = made(methods=words, validate=lambda *_: not_judged("none", "nothing is known"))
    assert unjudged.items == made(methods=words).items


def test_what_is_expected_of_the_parent_is_expected_of_the_variant() -> None:
    asked: list[object] = []

    def seen(prompt: str, target: str, metadata: Mapping[str, Any]) -> Validation:
        asked.append(metadata.get("expected"))
        return er(prompt, target, metadata)

    made(SOURCES[:1], validate=seen)
    assert asked == [SOURCES[0].metadata["expected"]] * 2


def test_a_source_without_any_method_gives_none() -> None:
    found = made([Source(1, "42?", "yes")], validate=accepted, factor=3)
    assert found.items == []
    assert found.barren == 1


def test_progress_ends_with_all_of_them() -> None:
    told: list[tuple[int, int]] = []
    made(progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (40, 40)
    assert told == sorted(told)


@pytest.mark.parametrize("wrong", [{"factor": 0}, {"floor": 0.9, "ceiling": 0.8}, {"ceiling": 1.2}])
def test_wrong_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="factor"):
        made(**wrong)


def test_with_one_variant_each_all_methods_have_their_share() -> None:
    shares = Counter(item.origin for item in made().items)
    assert min(shares[name] for name in ("synonym", "paraphrase", "order")) >= 6
