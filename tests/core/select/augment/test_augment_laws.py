"""Laws of augmentation over all requests, and hostile texts."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.demo.corpus import draw_request, ideal
from core.select.alike.vectors import vectors
from core.select.augment.augment import augment
from core.select.augment.data_order import data_orders, same_data
from core.select.augment.paraphrase import paraphrases
from core.select.augment.proof import changed, said, target_names
from core.select.augment.source import Source
from core.select.augment.spans import pieces
from core.select.augment.synonyms import synonyms
from core.select.split import prompt_hash
from core.validate.mermaid.er import MermaidErValidator
from core.validate.mermaid.er_syntax import parse

_ER = MermaidErValidator()
_SEEDS = st.integers(0, 2**32)
_WORDS = st.one_of(
    st.sampled_from(
        ["Please", "draw", "create", "a", "an", "the", "diagram", "simple", "quick", "of", "for", "I", "need"]
    ),
    st.sampled_from(
        ["book_store", "`x y`", '"a b"', "42", "Stripe", "[EMAIL_1]", "order", "item", "loan", "has", "{v}"]
    ),
    st.sampled_from(["not", "without", "we", "must", "have", "to", "don't", "and", "e.g.", "<b>", "$", "😀", "שלום"]),
    st.sampled_from([".", ",", ";", ":", "\n", "\n- ", "?"]),
)
_TEXTS = st.lists(_WORDS, max_size=25).map(" ".join)


@given(_SEEDS, st.integers(2, 3))
@settings(max_examples=25)
def test_every_variant_of_a_request_asks_for_the_same(seed: int, factor: int) -> None:
    rng = random.Random(seed)
    sources = []
    for at in range(4):
        request = draw_request(rng)
        expected = {"expected": {"entities": list(request.entities)}}
        sources.append(Source(at, request.prompt, ideal(request), metadata=expected))
    held_out = {prompt_hash(f"Please {source.prompt[0].lower()}{source.prompt[1:]}") for source in sources}

    def made(given_sources: list[Source]) -> object:
        return augment(
            given_sources,
            validate=lambda prompt, target, metadata: _ER.validate(target, expected=metadata["expected"]),
            embed=vectors,
            factor=factor,
            seed=seed,
            known=held_out,
        ).items

    items = made(sources)
    assert items == made(sources[::-1])
    assert isinstance(items, list)
    assert max(Counter(item.event_id for item in items).values(), default=0) < factor
    for item in items:
        parent = sources[item.event_id]
        names = target_names(parent.target)
        assert prompt_hash(item.prompt) not in held_out
        assert (item.prompt, item.target) != (parent.prompt, parent.target)
        assert said(item.prompt, names).kept == said(parent.prompt, names).kept
        assert said(item.prompt, names).names == said(parent.prompt, names).names
        before, after = parse(parent.target), parse(item.target)
        assert sorted(before.entities) == sorted(after.entities)
        assert {(r.left, r.right, r.label) for r in before.relations} == {
            (r.left, r.right, r.label) for r in after.relations
        }


@given(_TEXTS, _TEXTS, _SEEDS)
@settings(max_examples=150)
def test_a_synonym_never_touches_what_must_stay(prompt: str, target: str, seed: int) -> None:
    names = target_names(target)
    for text in islice(synonyms(prompt, names, random.Random(seed)), 3):
        assert said(text, names).kept == said(prompt, names).kept
        assert said(text, names).names >= said(prompt, names).names


@given(_TEXTS, _TEXTS, _SEEDS)
@settings(max_examples=100)
def test_any_text_can_be_paraphrased_and_proved_without_a_fault(prompt: str, target: str, seed: int) -> None:
    names = target_names(target)
    assert changed(prompt, prompt, names, ordered=True) is None
    for text in islice(paraphrases(prompt, names, random.Random(seed), ordered=False), 5):
        changed(prompt, text, names, ordered=False)


@given(st.text(max_size=200))
def test_pieces_and_gaps_are_the_text(text: str) -> None:
    found = list(pieces(text))
    assert "".join(each.gap + each.text for each in found) == text[: found[-1].end if found else 0]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON, _SEEDS, st.sampled_from([None, 2, 4]))
def test_reordered_json_is_equal(value: object, seed: int, indent: int | None) -> None:
    written = json.dumps(value, indent=indent)
    for text in islice(data_orders(written, random.Random(seed)), 2):
        assert json.loads(text) == value
        assert same_data(written, text)


_UNITS = ("a", " ", "\n", "`", '"', "„", "<", "{", "@a", "a.", "please draw a cat. ", "a and ", "😀", "שלום ", "\u202e",
          "- x has y\n", "erDiagram\n", "\ud800", "for a b ", "\n \n", "paths:\n  ", "'a ")  # fmt: skip


@pytest.mark.parametrize("unit", _UNITS)
def test_hostile_texts_break_nothing_and_end(unit: str) -> None:
    long = (unit * (100_000 // len(unit) + 1))[:100_000]
    short = long[:5_000]
    sources = [
        Source(1, long, long, context=long),
        Source(2, short, short, context=short),
        Source(3, f"Please draw a quick diagram for a shop {short}", "erDiagram\n a {\n int id\n }"),
    ]
    found = augment(sources, validate=lambda *_: _ER.validate("x"), embed=vectors, factor=3)
    assert found.items == []
