from __future__ import annotations

import random
from itertools import islice

import pytest

from assets.demo.corpus import (
    HOUSE,
    Request,
    chance,
    correct,
    draw_style,
    examples,
    ideal,
    requests,
    split_of,
    write,
)
from assets.demo.vocabulary import DOMAINS
from assets.demo.voices import RULES, VOICES
from core.validate.mermaid.er import MermaidErValidator
from core.validate.mermaid.er_syntax import parse


def score(request: Request, diagram: str) -> float:
    verdict = MermaidErValidator().validate(diagram, prompt=request.prompt, expected={"entities": request.entities})
    return verdict.score if verdict.valid else -1.0


def test_requests_are_distinct_seeded_and_of_their_split() -> None:
    first = requests(1, 60, split="held_out")
    assert first == requests(1, 60, split="held_out")
    assert first != requests(2, 60, split="held_out")
    assert len({request.prompt for request in first}) == 60
    assert {split_of(request.prompt) for request in first} == {"held_out"}
    assert {split_of(request.prompt) for request in requests(1, 60, split="feedback")} == {"feedback"}


def test_pre_training_sees_only_prompts_of_its_split() -> None:
    assert {split_of(prompt) for _, prompt, _ in islice(examples(3), 300)} == {"train"}
    assert list(islice(examples(3), 20)) == list(islice(examples(3), 20))


def test_a_prompt_names_all_that_is_asked_for() -> None:
    for request in requests(4, 60, split="feedback"):
        words = request.prompt.replace(",", " ").replace(".", " ").replace(";", " ").replace(":", " ").split()
        assert set(request.entities) <= set(words)
        assert {link.verb for link in request.relations} <= set(words)
        assert {link.child for link in request.relations} == set(request.entities[1:])


def test_the_ideal_diagram_is_perfect() -> None:
    for request in requests(5, 60, split="held_out"):
        assert ideal(request) == ideal(request)
        assert score(request, ideal(request)) == 100.0


def test_a_correction_keeps_the_answers_own_attributes() -> None:
    rng = random.Random(6)
    for request in requests(6, 60, split="feedback"):
        answer = write(request, draw_style(request, rng), rng)
        corrected = correct(request, answer)
        assert score(request, corrected) == 100.0
        before, after = parse(answer).entities, parse(corrected).entities
        for name in request.entities:
            kept = {attribute.type for attribute in before[name].attributes if not attribute.keys}
            assert kept <= {attribute.type for attribute in after[name].attributes}


@pytest.mark.parametrize("answer", ["", "no idea", "erDiagram\n  a {", "erDiagram\n  stranger { int id PK }"])
def test_a_correction_of_a_useless_answer_is_still_perfect(answer: str) -> None:
    request = requests(7, 1, split="feedback")[0]
    assert score(request, correct(request, answer)) == 100.0
    assert score(request, correct(request, ideal(request))) == 100.0


def test_every_rule_is_kept_by_some_and_broken_by_others() -> None:
    for rule in RULES:
        chances = [chance(voice, domain, rule) for voice in range(len(VOICES)) for domain in DOMAINS]
        assert 0.0 < min(chances) < 0.3
        assert 0.7 < max(chances) < 1.0
    scores = [score(request, write(request, HOUSE, random.Random(1))) for request in requests(8, 5, split="feedback")]
    assert scores == [100.0] * 5


def test_the_corpus_leaves_room_to_improve() -> None:
    rng = random.Random(9)
    asked = requests(9, 300, split="held_out")
    scores = [score(request, write(request, draw_style(request, rng), rng)) for request in asked]
    assert 55 < sum(scores) / len(scores) < 70
    assert min(scores) >= 30
    assert 0.05 < sum(value >= 80 for value in scores) / len(scores) < 0.35
