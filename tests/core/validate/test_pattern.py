from __future__ import annotations

from typing import Any

import pytest

from core.validate.pattern import make


def test_a_search_is_found_anywhere() -> None:
    validator = make({"pattern": r"ticket-(\d+)", "flags": ["ignorecase"]})
    assert validator.validate("see TICKET-12").score == 100.0
    missing = validator.validate("see it")
    assert (missing.score, missing.valid, missing.findings[0].kind) == (0.0, False, "no_match")
    assert r"ticket-(\d+)" in missing.findings[0].message


def test_a_full_match_may_stand_in_a_fence_at_a_cost() -> None:
    validator = make({"pattern": r"[A-Z]{3}-\d+", "mode": "fullmatch"})
    assert validator.validate(" ABC-1\n").score == 100.0
    wrapped = validator.validate("Here:\n```\nABC-1\n```")
    assert (wrapped.score, wrapped.valid, wrapped.findings[0].kind) == (90.0, True, "wrapped")
    assert not validator.validate("It is ABC-1").valid


def test_what_is_forbidden_is_named_with_its_line() -> None:
    validator = make({"pattern": r"password\s*=", "mode": "forbid"})
    assert validator.validate("a = 1").score == 100.0
    found = validator.validate("a = 1\npassword = 2").findings[0]
    assert (found.kind, found.line) == ("forbidden", 2)
    assert found.message.startswith("line 2: ")


@pytest.mark.parametrize(
    ("pattern", "response"),
    [(r"ticket-(\d+)", "ticket-12"), (r"(?P<a>\w+)-(?P<value>\d+)", "ticket-12"), (r"\b\d+", "ticket 12")],
)
def test_the_matched_value_is_compared_with_the_expected_one(pattern: str, response: str) -> None:
    validator = make({"pattern": pattern})
    assert validator.validate(response, expected={"match": "12"}).score == 100.0
    wrong = validator.validate(response, expected={"match": "13"})
    assert (wrong.score, wrong.valid, wrong.findings[0].message) == (20.0, True, "line 1: `12` instead of `13`")


def test_a_pattern_that_never_ends_is_ended() -> None:
    verdict = make({"pattern": "(?:a|aa)+$", "timeout": 0.05}).validate("a" * 80 + "b")
    assert (verdict.judged, verdict.valid, verdict.findings[0].kind) == (False, True, "too_slow")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "pattern"),
        ({"pattern": "a(b"}, r"character 4: `a\(b▸`"),
        ({"pattern": "a", "mode": "match"}, "mode"),
        ({"pattern": "a", "flags": ["i"]}, "flags"),
        ({"pattern": "a", "flags": "ignorecase"}, "flags"),
        ({"pattern": "a", "timeout": 0}, "timeout"),
        ({"pattern": "a", "timeout": "1"}, "timeout"),
        ({"patern": "a"}, "patern"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        make(options)
