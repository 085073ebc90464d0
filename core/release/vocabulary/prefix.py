"""The space that SentencePiece's kind of tokenizer puts before a text, and how `tokenizers` and llama.cpp do it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from core.release.vocabulary.refusal import refused
from core.release.vocabulary.splitting import Step, steps_of

MARK: Final = "▁"
_REPLACE: Final[Step] = ("Replace", "String", " ", MARK)
_PREPEND: Final[Step] = ("Prepend", MARK)
# After every space has become a mark there is none left to split at.
_NO_SPLIT: Final[Step] = ("Split", "String", " ", "MergedWithPrevious", False)
FIRST_ONLY: Final[tuple[Step, ...]] = (("Metaspace", MARK, "first", False),)


class Prefix(Enum):
    """Where a space is put: before each piece of text between special tokens; before the very first word of a text
    only, and not after a special token; nowhere.

    llama.cpp knows EVERY and NEVER. FIRST is exported as NEVER: they agree on every text that begins with a special
    token, as chats do, and differ on plain text only.
    """

    EVERY = "every"
    FIRST = "first"
    NEVER = "never"


STEPS: Final[Mapping[Prefix, tuple[Step, ...]]] = {Prefix.EVERY: (_PREPEND, _REPLACE), Prefix.NEVER: (_REPLACE,)}


def space_prefix(stored: Mapping[str, Any]) -> Prefix:
    """Where a tokenizer.json of SentencePiece's kind puts a space. Raises ExportError for an unknown preparation."""
    normalizers, steps = steps_of(stored.get("normalizer")), steps_of(stored.get("pre_tokenizer"))
    if set(normalizers) == {_PREPEND, _REPLACE} and len(normalizers) == 2 and not steps:
        return Prefix.EVERY
    if normalizers == (_REPLACE,) and steps in ((), (_NO_SPLIT,)):
        return Prefix.NEVER
    if not normalizers and steps == (("Metaspace", MARK, "never", False),):
        return Prefix.NEVER
    if not normalizers and steps == FIRST_ONLY:
        return Prefix.FIRST
    if not normalizers and steps == (("Metaspace", MARK, "always", False),):
        raise refused(
            "it puts a space before a text only where there is none yet, which llama.cpp's SentencePiece does not"
        )
    raise refused("it is of SentencePiece's kind but prepares text in a way that this exporter does not know")


def taken_first(whole: str) -> bool:
    """Is a token that is found in the text as written never made by merging too?

    One with a mark is: the marks in the text that is merged stand for spaces.
    """
    return MARK not in whole
