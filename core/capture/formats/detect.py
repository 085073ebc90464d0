"""Which format a list of records is written in."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, NamedTuple

from core.capture.formats.domain_events import DomainEvents
from core.capture.formats.exports import EXPORT_FORMATS
from core.capture.formats.parts import Format, Source
from core.capture.formats.training_chat import OpenAIChat, ShareGPT
from core.capture.formats.training_labels import LabelledChat, LabelledCompletion, RankedAnswers, Stepwise
from core.capture.formats.training_llamafactory import LlamaFactory
from core.capture.formats.training_loops import ArtifactLoop, ModerationLoop, OwnRecords
from core.capture.formats.training_pairs import (
    COLUMN_PREFERENCES,
    AnthropicHH,
    ChatPreference,
    OpenAIPreference,
    TrlPreference,
)
from core.capture.formats.training_tables import H2OChains, QuestionAnswer
from core.capture.formats.training_text import Alpaca, PromptCompletion, RawText
from core.config import close_names
from core.errors import FinetuneError

FORMATS: Final[tuple[Format, ...]] = (
    OwnRecords(),
    DomainEvents(),
    *EXPORT_FORMATS,
    LlamaFactory(),
    OpenAIChat(),
    ShareGPT(),
    Alpaca(),
    PromptCompletion(),
    TrlPreference(),
    AnthropicHH(),
    OpenAIPreference(),
    ChatPreference(),
    *COLUMN_PREFERENCES,
    LabelledCompletion(),
    LabelledChat(),
    Stepwise(),
    RankedAnswers(),
    H2OChains(),
    ArtifactLoop(),
    ModerationLoop(),
    QuestionAnswer(),
    RawText(),
)
"""Every format; where two are equally sure of a source the earlier one is taken."""

SAMPLE_ROWS: Final = 40
_LEAST: Final = 0.2
# Broken rows at the start of a file must not hide what the others are.
_LOOKED_AT: Final = 1000
_TITLE: Final = "The format is not known"


class Detected(NamedTuple):
    """The format of a source, how surely it is (0-1), and the other formats that it could be, surest first."""

    format: Format
    confidence: float
    alternatives: tuple[tuple[Format, float], ...]


def sample_of(source: Source) -> list[Any]:
    """The values of the first rows that could be read."""
    readable = (row.value for row in islice(source.rows(), _LOOKED_AT) if not row.error)
    return list(islice(readable, SAMPLE_ROWS))


def detect(source: Source) -> Detected:
    """The format of a source, from its first rows. Raises FinetuneError when none fits or no row can be read."""
    sample = sample_of(source)
    if not sample:
        raise _unreadable(source)
    ranked = sorted(((each.matches(source, sample), each) for each in FORMATS), key=lambda each: -each[0])
    fitting = [(each, confidence) for confidence, each in ranked if confidence >= _LEAST]
    if not fitting:
        raise _unknown(source, sample)
    return Detected(*fitting[0], tuple(fitting[1:]))


def format_named(name: str) -> Format:
    """The format of that name. Raises FinetuneError that names the closest ones."""
    for each in FORMATS:
        if each.name == name.replace("-", "_"):
            return each
    known = {each.name for each in FORMATS}
    raise FinetuneError(f"There is no format `{name[:60]}`.", title=_TITLE, hint=close_names(name[:60], known))


def _unreadable(source: Source) -> FinetuneError:
    first = next(source.rows(), None)
    if first is None:
        return FinetuneError(f"{source.name} holds no rows.", title=_TITLE, hint="Check that it was written whole.")
    return FinetuneError(
        f"No row of {source.name} can be read; row {first.number}: {first.error}",
        title=_TITLE,
        hint="Check that the file is whole and is what its name says.",
    )


def _unknown(source: Source, sample: list[Any]) -> FinetuneError:
    keys = dict.fromkeys(str(key)[:40] for row in sample if isinstance(row, dict) for key in row)
    if keys:
        shown = ", ".join(f"`{key}`" for key in islice(keys, 12)) + (", …" if len(keys) > 12 else "")
        seen = f"its rows have the keys {shown}"
    else:
        seen = "its rows are no objects with keys"
    return FinetuneError(
        f"{source.name} is in none of the formats that are recognised: {seen}.",
        title=_TITLE,
        hint="Name the columns with --map prompt=COLUMN --map response=COLUMN, or the format with --format NAME.",
    )
