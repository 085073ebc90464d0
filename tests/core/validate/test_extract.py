from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.validate.extract import Extract, best_fence, fences, from_line, without_thoughts

TWO = "Intro\n```python\na = 1\n```\nthen\n~~~ JSON x\n{}\n\n~~~\nend\n"


def test_each_fence_has_its_language_and_the_line_on_which_it_begins() -> None:
    assert fences(TWO) == [Extract("a = 1", 3, "python", True), Extract("{}\n", 7, "json", True)]


def test_a_fence_that_is_not_closed_goes_to_the_end() -> None:
    assert fences("```\na\nb") == [Extract("a\nb", 2, "", True)]


def test_a_longer_mark_holds_a_shorter_one() -> None:
    assert [each.text for each in fences("````md\n```py\nx\n```\n````\n")] == ["```py\nx\n```"]


def test_the_indent_of_a_fence_in_a_list_is_taken_off() -> None:
    assert [each.text for each in fences("  - ```py\n    if a:\n        b\n    ```\n")] == ["if a:\n    b"]


def test_windows_line_ends_are_read() -> None:
    assert fences("a\r\n```py\r\nx\r\n```\r\n") == [Extract("x", 3, "py", True)]


@pytest.mark.parametrize(
    ("response", "chosen"),
    [
        ("```\nlonger text\n```\n```py\nx\n```", "x"),
        ("```py\nx\n```\n```py\nlonger\n```", "longer"),
        ("```sh\nlonger text\n```\n```\nx\n```", "x"),
        ("```sh\nx\n```", "x"),
    ],
)
def test_the_best_fence_is_in_the_language_then_unmarked_then_the_longest(response: str, chosen: str) -> None:
    best = best_fence(fences(response), frozenset({"py"}))
    assert best is not None
    assert best.text == chosen


def test_a_fence_that_fits_goes_before_a_longer_one_that_does_not() -> None:
    found = fences("```json\n{}\n```\n```json\nnot this one\n```")
    best = best_fence(found, frozenset({"json"}), lambda text: text.startswith("{"))
    assert best is not None
    assert best.line == 2


def test_no_fence_is_none() -> None:
    assert fences("no `code` here") == []
    assert best_fence([], frozenset()) is None


def test_bare_text_begins_on_the_line_that_is_asked_for() -> None:
    assert from_line("Hello\n\ndef f(): 0\n", re.compile(r"^def ", re.M)) == Extract("def f(): 0\n", 3)
    assert from_line("Hello", re.compile(r"^def ", re.M)) is None


def test_thoughts_are_left_out_and_lines_keep_their_numbers() -> None:
    assert without_thoughts("<think>\na\n</think>\nb") == "\n\n\nb"
    assert without_thoughts("a <think>b</think>") == "a <think>b</think>"
    assert without_thoughts("<think>never ends") == "<think>never ends"


def test_lines_count_from_the_response() -> None:
    part = Extract("a\nb", 5)
    assert (part.at(1), part.at(2), part.line_at(0), part.line_at(2)) == (5, 6, 5, 6)


@settings(max_examples=150)
@given(st.text(st.sampled_from("`~ab \n-1.)\t\r{"), max_size=200))
def test_every_fence_lies_in_the_response(response: str) -> None:
    lines = response.count("\n") + 1
    for fence in fences(response):
        assert 2 <= fence.line <= lines + 1
        assert "".join(fence.text.split()) in "".join(response.split())
