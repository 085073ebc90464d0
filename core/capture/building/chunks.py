"""Cuts a text into chunks along its structure: headings of Markdown, definitions of Python, else paragraphs.

Every line that is not blank stands in exactly one chunk, in its order; only a line that is longer than a chunk may be
is cut itself.
"""

from __future__ import annotations

import ast
import hashlib
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import PurePosixPath
from typing import Final

MAX_CHARS: Final = 4_000
_JOIN_BELOW: Final = 600
_LEAST_WORDS: Final = 12
_WORD = re.compile(r"\w+")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_MARKDOWN: Final = frozenset({".md", ".markdown", ".mdx", ".mkd"})
_PYTHON: Final = frozenset({".py", ".pyi"})
# Each script has its own letters for a word; where words are not parted by spaces, two characters count as one.
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a text with its first and last line, counted from 1."""

    text: str
    first: int
    last: int

    @property
    def lines(self) -> str:
        """`12-40`."""
        return f"{self.first}-{self.last}"

    @property
    def is_thin(self) -> bool:
        """Whether it says too little to ask anything about: fewer than 12 words."""
        head = self.text[:MAX_CHARS]
        return len(_WORD.findall(head)) + len(_UNSPACED.findall(head)) // 2 < _LEAST_WORDS


Span = tuple[int, int]
"""Lines from the first (from 0) up to, without, the last."""


def chunks_of(name: str, text: str, max_chars: int = MAX_CHARS) -> list[Chunk]:
    """The chunks of a file, none longer than `max_chars`; `name` tells Markdown and Python by its ending.

    Neighbours that are shorter than 600 characters are joined, so that each chunk is worth a question.
    """
    lines = text.split("\n")
    pieces = [small for span in _spans(name, text, lines) for small in _fitting(lines, span, max_chars)]
    chunks: list[Chunk] = []
    for first, last in _joined(lines, pieces, min(_JOIN_BELOW, max_chars), max_chars):
        whole = "\n".join(lines[first:last])
        if len(whole) <= max_chars:
            chunks.append(Chunk(whole, first + 1, last))
        else:  # one line
            chunks += [
                Chunk(part, first + 1, last)
                for at in range(0, len(whole), max_chars)
                if (part := whole[at : at + max_chars]).strip()
            ]
    return chunks


def progress_hashes(chunks: Sequence[Chunk]) -> list[str]:
    """A hash for each number of chunks read, from none to all: it says what was read, and so how far.

    The hash over all chunks is that of the file.
    """
    digest = hashlib.blake2b(digest_size=16)
    hashes = [digest.hexdigest()]
    for chunk in chunks:
        digest.update(f"{len(chunk.text)}:{chunk.text}".encode("utf-8", "surrogatepass"))
        hashes.append(digest.hexdigest())
    return hashes


def _spans(name: str, text: str, lines: Sequence[str]) -> list[Span]:
    suffix = PurePosixPath(name).suffix.lower()
    starts: list[int] = []
    if suffix in _MARKDOWN:
        starts = list(_headings(lines))
    elif suffix in _PYTHON or (lines[0].startswith("#!") and "python" in lines[0]):
        starts = _definitions(text)
    return _between([*starts, len(lines)])


def _between(starts: Sequence[int]) -> list[Span]:
    spans, before = [], 0
    for start in sorted(set(starts)):
        if start > before:
            spans.append((before, start))
            before = start
    return spans


def _headings(lines: Sequence[str]) -> Iterator[int]:
    """The lines with a heading, which none in a code fence is."""
    mark = ""
    for at, line in enumerate(lines):
        fence = _FENCE.match(line)
        if mark:
            if fence and fence[1].startswith(mark) and not line.strip(" \t`~"):
                mark = ""
        elif fence:
            mark = fence[1]
        elif _HEADING.match(line):
            yield at


def _definitions(text: str) -> list[int]:
    """Where the functions and classes of a module begin and end, with their decorators and the comment above."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of doubtful escapes in somebody's code
            body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lines = text.split("\n")
    starts: list[int] = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)]) - 1
            while first > 0 and lines[first - 1].startswith("#"):
                first -= 1
            starts += [first, node.end_lineno or first + 1]
    return starts


def _fitting(lines: Sequence[str], span: Span, max_chars: int) -> Iterator[Span]:
    """A span in parts that fit: cut at blank lines, those before an unindented line first, else between lines."""
    first, last = span
    while first < last:
        if not lines[first].strip():
            first += 1
            continue
        end, size = first, -1
        while end < last and size + 1 + len(lines[end]) <= max_chars:
            size += 1 + len(lines[end])
            end += 1
        if end < last:
            end = _good_end(lines, first, max(end, first + 1))
        yield _trimmed(lines, first, end)
        first = end


def _good_end(lines: Sequence[str], first: int, end: int) -> int:
    """The last good place to cut in the second half of what fits, or `end`."""
    half = first + (end - first) // 2
    blank = [at for at in range(end - 1, half, -1) if not lines[at].strip()]
    for at in blank:
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if following[:1].strip():
            return at
    return blank[0] if blank else end


def _trimmed(lines: Sequence[str], first: int, end: int) -> Span:
    while end > first + 1 and not lines[end - 1].strip():
        end -= 1
    return first, end


def _joined(lines: Sequence[str], pieces: Sequence[Span], small: int, max_chars: int) -> Iterator[Span]:
    """Joins a short piece with what follows it while both fit into one chunk."""

    ends = [0, *accumulate(len(line) + 1 for line in lines)]

    def size(first: int, last: int) -> int:
        return ends[last] - ends[first] - 1

    held: Span | None = None
    for piece in pieces:
        if held is not None and size(*held) < small and size(held[0], piece[1]) <= max_chars:
            held = held[0], piece[1]
            continue
        if held is not None:
            yield held
        held = piece
    if held is not None:
        yield held
