from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.select.split import bucket, content_hash, is_held_out, is_validation, prompt_hash


def test_hashes_are_stable_for_ever() -> None:
    # blake2b, 16 bytes, of "hello" and of "5:hello" + "world" (computed with coreutils' b2sum -l 128).
    assert prompt_hash("hello") == "b2:46fb7408d4f285228f4af516ea25851b"
    assert content_hash("hello", "world") == prompt_hash("5:helloworld")


@pytest.mark.parametrize("same", ["Draw a shop", "draw  a\nSHOP ", "ｄｒａｗ a shop"])
def test_spacing_case_and_width_do_not_make_a_new_prompt(same: str) -> None:
    assert prompt_hash(same) == prompt_hash("draw a shop")


def test_content_keeps_indentation_but_not_line_ends() -> None:
    assert content_hash("p", "a\r\n  b  \n") == content_hash("p", "a\n  b")
    assert content_hash("p", "a\n  b") != content_hash("p", "a\nb")
    assert content_hash("p", "A") != content_hash("p", "a")


AB = st.text("ab5:", max_size=4)


@given(AB, AB, AB, AB)
def test_prompt_and_response_cannot_be_traded(prompt: str, response: str, other: str, answer: str) -> None:
    same = (prompt, response) == (other, answer)
    assert (content_hash(prompt, response) == content_hash(other, answer)) is same


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_has_a_bucket_even_with_lone_surrogates(text: str) -> None:
    number = bucket(prompt_hash(text))
    assert 0 <= number <= 99
    assert not (is_held_out(number) and is_validation(number))


def test_a_fifth_is_held_out_and_a_tenth_of_the_rest_watches() -> None:
    buckets = [bucket(prompt_hash(f"prompt {number}")) for number in range(10_000)]
    assert 0.185 < sum(map(is_held_out, buckets)) / 10_000 < 0.215
    assert 0.07 < sum(map(is_validation, buckets)) / 10_000 < 0.09
    assert [number for number in range(100) if is_held_out(number)] == list(range(20))
    assert [number for number in range(100) if is_validation(number)] == list(range(92, 100))
