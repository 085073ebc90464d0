"""The cursor that the Mermaid parsers of graphs read with."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

_LINE_REST = re.compile(r"[^\n]*")
_SEEN = 24


class Refused(Exception):
    """What stands at `at` (None: at the cursor) cannot follow there; reading goes on at the line after it."""

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.at = at


class Cursor:
    """A place in a text, with what a parser asks of it; `first_line` is the line number of the text's first line."""

    def __init__(self, text: str, first_line: int) -> None:
        self.text = text
        self.at = 0
        self._first_line = first_line
        self._breaks = [index for index, char in enumerate(text) if char == "\n"]

    def line(self, at: int | None = None) -> int:
        """The line number of `at`, else of the cursor."""
        return self._first_line + bisect_right(self._breaks, (self.at if at is None else at) - 1)

    def line_end(self) -> int:
        """Where the cursor's line ends: its line break, or the end of the text."""
        after = bisect_left(self._breaks, self.at)
        return self._breaks[after] if after < len(self._breaks) else len(self.text)

    def ended(self) -> bool:
        """Whether nothing is left."""
        return self.at >= len(self.text)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Go past `pattern` if it stands at the cursor."""
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def sees(self, pattern: re.Pattern[str]) -> bool:
        """Whether `pattern` stands at the cursor."""
        return pattern.match(self.text, self.at) is not None

    def need(self, pattern: re.Pattern[str], wanted: str) -> re.Match[str]:
        """Go past `pattern`. Raises Refused when it does not stand at the cursor."""
        match = self.take(pattern)
        if match is None:
            raise self.expected(wanted)
        return match

    def expected(self, wanted: str) -> Refused:
        """The refusal of what stands at the cursor where `wanted` should."""
        rest = _LINE_REST.match(self.text, self.at)
        seen = rest.group().strip()[:_SEEN] if rest else ""
        return Refused(f"expected {wanted}, found " + (f"`{seen}`" if seen else "the end of the line"))
