"""The one way by which text that somebody else wrote reaches the screen.

Prompts, responses, findings, file names and error messages may hold markup, terminal escapes, right-to-left overrides
or lines of megabytes. What leaves here is inert: no markup is read from it, and every character that a terminal would
obey, or that a reader could not see, is replaced by something visible.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from textual.content import Content
from textual.style import Style

DISPLAY_LIMIT = 50_000
LINE_LIMIT = 2_000
_SLACK = 64
"""A text is cut only when it is longer than its limit by more than this, so that the note on the cut is never cut."""

# Bidirectional controls (061C, 200E-F, 202A-E, 2066-9), zero-width and invisible characters, line separators, tags,
# and lone surrogates, which no terminal can be sent.
_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff"
    "\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_FORMS = "\ufe00-\ufe0f\U0001f3fb-\U0001f3ff"
_SYMBOL = "\u00a9\u00ae\u203c\u2049\u2100-\u214f\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
# How a symbol is drawn: in colours, as text, in a tone of skin. Terminals do not agree on how many cells such a symbol
# takes, and the rest of its line would be torn. Behind anything else they are as invisible as the others.
_DRAWING = re.compile(f"(?<=[{_SYMBOL}])[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]|(?<=[0-9#*])\ufe0f(?=\u20e3)")
_HOSTILE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{_UNSEEN}{_FORMS}]")
_ORDERS = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_UNSEEN}]")
_NOTE = re.compile(r"\n… [\d,]+ more characters\Z")
_SHOWN = re.compile(r"‹U\+([0-9A-F]{4,6})›")
_RESTORED = re.compile(f"[{_UNSEEN}{_FORMS}]")


def plain(text: str, *, limit: int | None = DISPLAY_LIMIT, line_limit: int | None = LINE_LIMIT) -> str:
    """`text` with nothing left that a terminal obeys; tabs and newlines stay.

    C0 controls and DEL become their control pictures (`␛`), C1, bidirectional, zero-width and unpaired surrogate
    characters `‹U+202E›`; what only tells how a symbol is drawn is left out. More than `limit` characters, or
    `line_limit` in one line, are cut with a note that says how many are missing; None cuts nothing. Applying it twice
    changes nothing more.
    """
    total = len(text)
    cut = limit is not None and total > limit + _SLACK
    shown = _visible(_DRAWING.sub("", text[:limit] if cut else text))
    if line_limit is not None and len(shown) > line_limit:
        shown = "\n".join(_shorter(line, line_limit) for line in shown.split("\n"))
    missing = total - limit if cut and limit is not None else 0
    if limit is not None and len(shown) > limit + _SLACK:
        missing += len(shown) - limit
        shown = shown[:limit]
    return f"{shown}\n… {missing:,} more characters" if missing else shown


def safe(text: object, style: str | Style = "", *, one_line: bool = False, limit: int = DISPLAY_LIMIT) -> Content:
    """Inert content to hand to a widget, in one style; `one_line` shows line breaks as `⏎`, tabs as spaces, and what is
    cut as `…`."""
    shown = plain(str(text), limit=limit)
    if one_line:
        shown = _NOTE.sub("…", shown).replace("\n", " ⏎ ").replace("\t", " ")
    return Content.styled(shown, style) if style else Content(shown)


def editable(text: str) -> str:
    """The whole text in visible form, for an editor; `restored` undoes it."""
    return _visible(text)


def restored(text: str) -> str:
    """What a person edited, with the invisible characters back in place. Control characters do not come back."""
    return _SHOWN.sub(_original, text)


def for_clipboard(text: str) -> str:
    """The whole text as it may be pasted into a terminal: what is invisible stays as it is, what a terminal would obey
    is shown as its picture."""
    return restored(editable(text))


def pasted(text: str) -> str:
    """What came from the clipboard, as it may stand in a line or a box that is edited; terminals send `\\r` for a line
    break. `restored` undoes it."""
    return _visible(text.replace("\r\n", "\n").replace("\r", "\n"))


def without_orders(text: str, width: Callable[[str], int]) -> str:
    """`text` with as many spaces for each character that a terminal would obey as the screen has cells for it."""
    return _ORDERS.sub(lambda found: " " * width(found[0]), text)


def _visible(text: str) -> str:
    return _HOSTILE.sub(_picture, text.replace("\r\n", "\n"))


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"‹U+{code:04X}›"


def _original(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    character = chr(code) if code <= 0x10FFFF else ""
    return character if _RESTORED.fullmatch(character) else found[0]


def _shorter(line: str, limit: int) -> str:
    return line if len(line) <= limit + _SLACK else f"{line[:limit]} … {len(line) - limit:,} more characters"
