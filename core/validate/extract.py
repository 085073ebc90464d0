"""Finds the code, JSON or YAML in a response: in the code fence that fits best, or bare."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FENCE_MARK = re.compile(r"([ \t]*+(?:(?:[-*+]|\d{1,3}[.)])[ \t]++)?)(`{3,}+|~{3,}+)[ \t]*+([^\s`{]*+)[^`]*+\Z")
_THINK = re.compile(r"\s*<think(?:ing)?>", re.I)
_THOUGHT = re.compile(r"</think(?:ing)?>", re.I)


@dataclass(frozen=True, slots=True)
class Extract:
    """A part of a response; `line` is the 1-based line of the response on which `text` begins.

    `language` is the first word behind the fence's mark in lower case, empty for none and for bare text.
    """

    text: str
    line: int = 1
    language: str = ""
    fenced: bool = False

    def at(self, line: int) -> int:
        """The line of the response for the 1-based `line` of `text`."""
        return self.line + line - 1

    def line_at(self, offset: int) -> int:
        """The line of the response for an offset in `text`, in characters."""
        return self.line + self.text.count("\n", 0, offset)


def without_thoughts(response: str) -> str:
    """The response with what a reasoning model thinks first (`<think>`…`</think>`) left out, its line numbers kept."""
    if not _THINK.match(response):
        return response
    end = _THOUGHT.search(response)
    if end is None:
        return response
    return "\n" * response.count("\n", 0, end.end()) + response[end.end() :]


def fences(response: str) -> list[Extract]:
    """Every code fence in order. One that is never closed goes to the end; its own indent is taken off its lines."""
    found: list[Extract] = []
    if "```" not in response and "~~~" not in response:
        return found
    inside: list[str] = []
    mark, language, start, indent = "", "", 0, 0
    for number, line in enumerate(response.replace("\r\n", "\n").split("\n"), 1):
        head = FENCE_MARK.match(line) if "```" in line or "~~~" in line else None
        if not mark:
            if head:
                mark, language, start, indent = head[2], head[3].lower(), number + 1, len(head[1].expandtabs(4))
        elif head and head[2].startswith(mark) and not line.strip(" \t`~"):
            found.append(Extract("\n".join(inside), start, language, True))
            mark, inside = "", []
        else:
            inside.append(_dedented(line, indent))
    if mark:
        found.append(Extract("\n".join(inside), start, language, True))
    return found


def best_fence(
    found: Sequence[Extract], languages: frozenset[str], fits: Callable[[str], bool] = lambda text: True
) -> Extract | None:
    """The fence to judge: of those in one of `languages`, else without a language, else any, the longest that `fits`.

    A fence in one of `languages` is taken even when none fits.
    """
    named = [each for each in found if each.language in languages]
    for group in (named, [each for each in found if not each.language], [each for each in found if each.language]):
        fitting = [each for each in group if fits(each.text)]
        if fitting:
            return max(fitting, key=lambda each: len(each.text))
    return max(named, key=lambda each: len(each.text), default=None)


def from_line(response: str, first: re.Pattern[str]) -> Extract | None:
    """The bare text from the first line that `first` (a pattern with `re.M` that starts with `^`) finds."""
    start = first.search(response)
    if start is None:
        return None
    at = start.start()
    return Extract(response[at:], response.count("\n", 0, at) + 1)


def _dedented(line: str, indent: int) -> str:
    if not indent:
        return line
    blank = len(line) - len(line.lstrip(" "))
    return line[min(blank, indent) :]
