from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.validate.label import make

LABELS = ["spam", "ham", "needs review"]
SPAM = {"label": "spam"}


def kinds(response: str, expected: dict[str, Any] | None = None, **options: Any) -> list[str]:
    found = make({"labels": LABELS, **options}).validate(response, expected=expected).findings
    return [finding.kind for finding in found]


@pytest.mark.parametrize(
    "response",
    [
        "spam",
        " SPAM.\n",
        "**Spam**",
        '"spam"',
        '{"label": "spam"}',
        '{"verdict": "Spam", "why": "ham is different"}',
        '{"label": ["spam"]}',
        "<think>\nIt could be ham.\n</think>\nspam",
    ],
)
def test_a_right_label_alone_has_full_score(response: str) -> None:
    verdict = make({"labels": LABELS}).validate(response, expected=SPAM)
    assert (verdict.score, verdict.valid, verdict.judged, verdict.findings) == (100.0, True, True, ())


@pytest.mark.parametrize(
    ("response", "kind", "line"),
    [
        ('```json\n{"label": "spam"}\n```', "wrapped", 2),
        ("```\nspam\n```", "wrapped", 2),
        ("Here it is:\n```\nspam\n```", "extra_text", 3),
        ("The answer is: spam.", "extra_text", 1),
        ("It could be ham.\nThe final label is **spam**.", "extra_text", 2),
        ("spam\n\nIt asks for money, as ham never does.", "extra_text", 1),
        ("This is not ham, it is spam.", "extra_text", 1),
        ("It isn't ham but spam", "extra_text", 1),
        ("This should not be classified as ham. It is spam.", "extra_text", 1),
        ("I would classify this as spam, though some would say ham.", "extra_text", 1),
    ],
)
def test_what_stands_around_a_right_label_costs_a_little(response: str, kind: str, line: int) -> None:
    verdict = make({"labels": LABELS}).validate(response, expected=SPAM)
    assert verdict.valid and 80.0 <= verdict.score < 100.0
    assert [(finding.kind, finding.line) for finding in verdict.findings] == [(kind, line)]


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        ("", "empty"),
        ("maybe", "unknown_label"),
        ("non-spam", "unknown_label"),
        ("spammer", "unknown_label"),
        ('{"label": "maybe"}', "unknown_label"),
        ('{"label": null}', "unknown_label"),
        ("I cannot say what this message is, to be honest.", "no_label"),
        ("This is not spam.", "no_label"),
        ('{"score": 3}', "no_label"),
        ("It is spam or ham.", "several_labels"),
        ('{"label": ["spam", "ham"]}', "several_labels"),
        ("The label is spam. The label is ham.", "several_labels"),
    ],
)
def test_no_single_allowed_label_is_invalid(response: str, kind: str) -> None:
    verdict = make({"labels": LABELS}).validate(response, expected=SPAM)
    assert not verdict.valid and verdict.judged and verdict.score <= 20.0
    assert [finding.kind for finding in verdict.findings] == [kind]


def test_a_wrong_label_is_well_formed_and_a_failure() -> None:
    verdict = make({"labels": LABELS}).validate("needs\n  review", expected=SPAM)
    assert (verdict.score, verdict.valid, verdict.judged) == (20.0, True, True)
    assert verdict.findings[0].message == "`needs review` instead of `spam`"


def test_without_a_known_answer_nothing_is_judged() -> None:
    validator = make({"labels": LABELS})
    verdict = validator.validate("spam", expected={"entities": []})
    assert (verdict.valid, verdict.judged, verdict.findings[-1].kind) == (True, False, "no_expected")
    assert 60.0 <= verdict.score < 80.0
    assert not validator.validate("spam", expected={"label": "eggs"}).judged
    assert validator.validate("eggs").judged, "that it is no allowed label is known all the same"


def test_the_options() -> None:
    assert kinds('{"type": "spam"}', SPAM, key="type") == []
    assert kinds('{"kind": "spam"}', SPAM, key="type") == ["other_key"]
    assert kinds("junk", SPAM, aliases={"junk": "spam"}) == []
    assert kinds("spam", {"truth": "spam"}, expected_key="truth") == []
    assert kinds("Spam", SPAM, case_sensitive=True) == ["unknown_label"]
    assert make({"labels": ["true", "false"]}).validate('{"label": true}', expected={"label": True}).score == 100.0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "labels"),
        ({"labels": "spam"}, "labels"),
        ({"labels": []}, "labels"),
        ({"labels": ["a", "A"]}, "twice"),
        ({"labels": ["a"], "aliases": {"b": "c"}}, "aliases"),
        ({"labels": ["a"], "aliases": {"A": "a"}}, "aliases"),
        ({"labels": ["a"], "case_sensitive": 1}, "case_sensitive"),
        ({"labels": ["a"], "label": "a"}, "'label'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        make(options)


@given(st.text(max_size=80), st.sampled_from(["", *LABELS]), st.text(max_size=40), st.sampled_from([None, *LABELS]))
def test_any_text_is_judged_by_the_same_laws(before: str, label: str, after: str, right: str | None) -> None:
    expected = None if right is None else {"label": right}
    verdict = make({"labels": LABELS}).validate(before + label + after, expected=expected)
    assert 0.0 <= verdict.score <= 100.0
    assert verdict.valid or (verdict.score <= 20.0 and verdict.findings)
    assert verdict.score == 100.0 or verdict.findings
    if right is not None:
        assert verdict.judged and (verdict.score <= 20.0 or verdict.score >= 80.0)


@pytest.mark.parametrize("piece", ["spam ", "not ", "{", '{"a":', "the answer is ", "```\n", "spam\n", "\n"])
@pytest.mark.usefixtures("no_collection")
def test_long_text_takes_no_longer_than_its_length(piece: str) -> None:
    started = time.process_time()
    make({"labels": LABELS}).validate(piece * (300_000 // len(piece)))
    assert time.process_time() - started < 1.0
