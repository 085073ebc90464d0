"""What of a growing answer may be sent, whatever the borders of its pieces are."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.backends.safe_text import SafeText

WORDS = st.text("ab{}\n", max_size=40) | st.text("aé😀\u0301", max_size=40)
BYTES = WORDS.map(str.encode) | st.binary(max_size=40)
STOPS = st.lists(st.text("ab{}\né😀", min_size=1, max_size=4), max_size=3)


def whole(data: bytes, stops: list[str]) -> str:
    """The text before the stop string that is complete first, of several the one that begins first."""
    for end in range(len(data) + 1):
        found = [data[:end].find(stop.encode()) for stop in stops]
        if cuts := [at for at in found if at >= 0]:
            return data[: min(cuts)].decode("utf-8", "replace")
    return data.decode("utf-8", "replace")


def cut(data: bytes, borders: list[int]) -> list[bytes]:
    at = sorted({min(border, len(data)) for border in borders} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(at)]


@given(BYTES, STOPS, st.lists(st.integers(0, 160), max_size=30))
def test_the_parts_make_up_the_text_before_the_first_stop(data: bytes, stops: list[str], borders: list[int]) -> None:
    safe = SafeText(stops)
    sent = ""
    seen = b""
    for piece in cut(data, borders):
        seen += piece
        sent += safe.push(piece)
        assert not any(stop in sent for stop in stops)
        if safe.stopped:
            break
    sent += safe.finish()
    if len(cut(data, borders)) == len(data):
        assert sent == whole(data, stops)
    assert data.decode("utf-8", "replace").startswith(sent.rstrip("\ufffd"))
    if not stops:
        assert sent == data.decode("utf-8", "replace")
    assert safe.stopped == any(stop.encode() in seen for stop in stops)


@given(BYTES, STOPS)
def test_byte_by_byte(data: bytes, stops: list[str]) -> None:
    safe = SafeText(stops)
    sent = ""
    for at in range(len(data)):
        sent += safe.push(data[at : at + 1])
        if safe.stopped:
            break
    assert sent + safe.finish() == whole(data, stops)


@given(WORDS, st.lists(st.integers(0, 160), max_size=30))
def test_no_part_breaks_a_character(text: str, borders: list[int]) -> None:
    safe = SafeText()
    parts = [safe.push(piece) for piece in cut(text.encode(), borders)]
    assert "".join(parts) == text
    assert safe.finish() == ""


def test_only_what_may_begin_a_stop_string_is_held() -> None:
    safe = SafeText(["###", "<end>"])
    assert [safe.push(piece) for piece in (b"a #", b"#", b"b<e", b"n ", b"c<e", b"nd> more")] == [
        "a ",
        "",
        "##b",
        "<en ",
        "c",
        "",
    ]
    assert safe.stopped
    assert safe.finish() == ""


def test_a_begun_stop_string_is_text_where_the_answer_ends() -> None:
    safe = SafeText(["###"])
    assert safe.push(b"a ##") == "a "
    assert safe.finish() == "##"
    assert not safe.stopped
