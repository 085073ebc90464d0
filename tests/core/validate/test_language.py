from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.validate.language import LANGUAGES, make

GERMAN = "Das ist ein langer deutscher Absatz, der genug Buchstaben hat, um für sich allein gezählt zu werden."
ENGLISH = "This is a long English paragraph which has surely enough letters to be counted on its own here."


def test_the_codes_are_those_of_the_model() -> None:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    assert set(LanguageIdentifier.from_model_file(MODEL_FILE).labels) - {"zxx"} == LANGUAGES


@pytest.mark.parametrize(
    ("languages", "text"),
    [
        (["de"], GERMAN),
        (["en"], ENGLISH),
        (["fr", "de-AT"], GERMAN),
        (["zh-CN"], "你好世界，今天天气很好，我们去公园吧"),
        (["ja"], "今日はとても天気がいいので、公園に行きましょう。"),
        (["nb"], "Det er en veldig fin dag i dag, og vi skal gå en tur i parken sammen med barna."),
        (["de"], f"{GERMAN}\n\n```python\nprint('this is a program and not a text at all')\n```\n"),
        (["de"], f"{GERMAN} Siehe https://example.org/this/is/an/english/address und `the_function_name`."),
    ],
)
def test_the_right_language_has_full_score(languages: list[str], text: str) -> None:
    verdict = make({"languages": languages}).validate(text)
    assert (verdict.score, verdict.valid, verdict.findings) == (100.0, True, ())


def test_the_wrong_language_is_named() -> None:
    verdict = make({"languages": ["de", "fr"]}).validate(ENGLISH)
    assert not verdict.valid and verdict.judged and verdict.score <= 20.0
    assert "`en`" in verdict.findings[0].message and "de or fr" in verdict.findings[0].message


def test_what_is_expected_goes_before_the_options() -> None:
    validator = make({"languages": ["de"]})
    assert validator.validate(ENGLISH, expected={"language": "en-GB"}).score == 100.0
    assert not validator.validate(GERMAN, expected={"language": "en"}).valid
    assert validator.validate(GERMAN, expected={"language": "klingon"}).valid


def test_a_paragraph_in_another_language_costs_by_its_share() -> None:
    one = make({"languages": ["de"]}).validate(f"{GERMAN}\n\n{GERMAN}\n{GERMAN}\n\n{ENGLISH}")
    assert one.valid and 80.0 < one.score < 100.0
    assert [(finding.kind, finding.line) for finding in one.findings] == [("other_language", 6)]


@pytest.mark.parametrize("text", ["Ja.", "42", "```mermaid\nflowchart LR\n    a --> b\n```", "[EMAIL_1] 12:30"])
def test_too_little_text_is_not_judged(text: str) -> None:
    verdict = make({"languages": ["de"]}).validate(text)
    assert verdict.valid and not verdict.judged and verdict.findings[0].kind == "too_short"


def test_an_empty_answer_is_invalid() -> None:
    assert not make({"languages": ["de"]}).validate(" \n").valid


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "languages"),
        ({"languages": "de"}, "languages"),
        ({"languages": []}, "languages"),
        ({"languages": ["german"]}, "'german'"),
        ({"languages": ["de"], "min": 3}, "'min'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        make(options)


@settings(max_examples=50)
@given(st.text(max_size=300))
def test_any_text_is_judged(text: str) -> None:
    verdict = make({"languages": ["en", "de"]}).validate(text)
    assert 0.0 <= verdict.score <= 100.0
    assert verdict.valid or verdict.score <= 20.0
    assert verdict.score == 100.0 or verdict.findings


@pytest.mark.parametrize("piece", ["a", "a@", "`", "<a", "https://", "hello ", "字", "\n\nhello", "``` \n"])
@pytest.mark.usefixtures("no_collection")
def test_long_text_takes_no_longer_than_its_length(piece: str) -> None:
    started = time.process_time()
    make({"languages": ["de"]}).validate(piece * (300_000 // len(piece)))
    assert time.process_time() - started < 1.5
