"""What Mermaid's lexers take for white space, and the entities that it hides before a diagram is read."""

from __future__ import annotations

import re

# White space as JavaScript knows it: Python's `\s` counts other control characters.
_BLANKS = r"\t\v\f \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
BLANK = rf"[{_BLANKS}]"
SPACE = rf"[\n{_BLANKS}]"
NOT_SPACE = rf"[^\n{_BLANKS}]"

# Nobody reads more, and a hostile text must not cost one finding a line.
MAX_PROBLEMS = 100
_ENTITY = re.compile(r"#(\w+);", re.A)
_COLOUR = re.compile(rf":[^#:\n{_BLANKS}]*+#")
_HASH, _SEMICOLON = "\ue000", "\ue001"


def hide_entities(text: str) -> str:
    """Mermaid's entities such as `#35;` with their `#` and `;` made inert: they neither comment nor end a statement.

    Before that, as Mermaid does, the last `;` of a line that sets a style to a colour such as `#fff` is dropped.
    """
    if "#" not in text:
        return text
    lines = [_without_last_semicolon(line) if "#" in line and ";" in line else line for line in text.split("\n")]
    return _ENTITY.sub(rf"{_HASH}\1{_SEMICOLON}", "\n".join(lines))


def restore_entities(text: str) -> str:
    """The text as it was before `hide_entities`."""
    return text.replace(_HASH, "#").replace(_SEMICOLON, ";")


def count_lines(body: str) -> int:
    """The number of lines of a diagram, blank ones at its end not counted."""
    return body.rstrip().count("\n") + 1 if body.strip() else 0


def _without_last_semicolon(line: str) -> str:
    for word in ("style", "classDef"):
        start, last = line.find(word), line.rfind(";")
        if 0 <= start < last and _COLOUR.search(line, start + len(word), last):
            line = line[:last] + line[last + 1 :]
    return line
