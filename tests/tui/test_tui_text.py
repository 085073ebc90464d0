from __future__ import annotations

import re
import time
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tui.text import editable, plain, restored, safe

ANYTHING = st.text(st.characters(), max_size=400)
SHORT = {"limit": 60, "line_limit": 20}


# Format characters that are drawn: signs that enclose the digits or letters after them.
DRAWN = {*map(chr, range(0x600, 0x606)), "\u06dd", "\u070f", "\u0890", "\u0891", "\u08e2", "\U000110bd", "\U000110cd"}


def obeyed(text: str) -> list[str]:
    """Characters that a terminal might act on or that nobody sees: controls, formats, surrogates, separators."""
    unseen = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return [one for one in text if one not in "\n\t" and one not in DRAWN and unicodedata.category(one) in unseen]


@given(ANYTHING)
def test_nothing_that_a_terminal_obeys_comes_through(text: str) -> None:
    assert obeyed(plain(text)) == []
    plain(text).encode("utf-8")


def test_no_character_at_all_comes_through() -> None:
    assert obeyed(plain("".join(map(chr, range(0x110000))), limit=None, line_limit=None)) == []


@given(ANYTHING)
def test_applying_it_twice_changes_nothing_more(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    once = plain(text * 3, **SHORT)
    assert plain(once, **SHORT) == once
    assert safe(safe(text).plain).plain == safe(text).plain


@given(ANYTHING)
def test_an_edited_text_gets_its_invisible_characters_back(text: str) -> None:
    back = restored(editable(text))
    kept = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff␀-␟␡]|‹U\+[0-9A-F]{4,6}›", "", text)
    assert re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff␀-␟␡]|‹U\+[0-9A-F]{4,6}›", "", back) == kept
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", back)


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    assert plain("\x1b[31mred\x1b[0m") == "␛[31mred␛[0m"
    assert plain("a\x9bb\x7f\u202ec\u200b") == "a‹U+009B›b␡‹U+202E›c‹U+200B›"
    assert plain("one\r\ntwo\rthree\ttab") == "one\ntwo␍three\ttab"


def test_markup_is_only_text() -> None:
    text = "[/] [bold]x[/bold] list[int] and [/path] [type=x, v={'a[0]'}] [@click=app.quit]q[/]"
    shown = safe(text)
    assert shown.plain == text
    assert shown.spans == []


def test_a_line_of_ten_megabytes_is_cut_quickly_and_says_so() -> None:
    started = time.perf_counter()
    shown = safe("\x1b" * 10_000_000)
    assert time.perf_counter() - started < 0.5
    assert len(shown.plain) < 60_000
    assert "more characters" in shown.plain


def test_one_line_stays_one_line() -> None:
    assert safe("a\nb\tc\r\nd", one_line=True).plain == "a ⏎ b c ⏎ d"
