"""What a format makes of a row: the model outputs in it, and which of them was preferred."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from core.errors import FinetuneError
from storage.rows import FeedbackType, Opinion

Turn = Mapping[str, Any]
"""One turn of a chat: `role` is system, user, assistant or tool, `content` is text; tool calls ride along."""

PreferenceSource = Literal["ranking", "sibling", "import"]


class RowError(FinetuneError):
    """A row, or a part of it, that cannot be taken; the message says why, without the row's number."""

    default_title = "A row was refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """One model output as the format tells it; empty `category` and `model` take those of the import.

    `history` holds the turns before the prompt, oldest first, without the system prompt. `score` is 0-100,
    `confidence` 0-1, `created_at` in seconds since the epoch (the readers of formats convert milliseconds and ISO
    dates), `latency_ms` in milliseconds. `note` is what the person said of the output in words. `group` is the same
    for answers to one request. `metadata` holds plain JSON values; `metadata["expected"]` what is known of a right
    answer.
    """

    prompt: str
    response: str
    system: str = ""
    context: str = ""
    history: tuple[Turn, ...] = ()
    category: str = ""
    model: str = ""
    score: float | None = None
    confidence: float | None = None
    feedback_type: FeedbackType | None = None
    verdict: Opinion | None = None
    correction: str | None = None
    note: str = ""
    latency_ms: float | None = None
    created_at: float | None = None
    group: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preference:
    """Answer `chosen` was better than answer `rejected`, both indexes into the row's answers.

    `margin` is 0-1, None when the row does not tell by how much. `source` is "sibling" when nobody compared the two
    directly and the preference was inferred.
    """

    chosen: int
    rejected: int
    source: PreferenceSource = "import"
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class Lessons:
    """All that a row holds. `problems` says, a line each, which parts of it were left out and why."""

    answers: tuple[Answer, ...]
    preferences: tuple[Preference, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a source: `number` counts from 1 (the line of a JSONL file, else the position), `value` is what
    stood there; `error` is set instead when it could not be read."""

    number: int
    value: Any
    error: str = ""


class Source(Protocol):
    """One list of records: a file, a table of a database, a member of an archive.

    `name` is what a person calls it ("chats.zip/conversations.json", "logs.db#responses"); `kind` is json, jsonl, csv,
    parquet or sqlite. `rows()` starts from the beginning each time it is called and holds one row in memory.
    `sibling(name)` is another file of the same folder or archive, or another table of the same database, or None.
    """

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    def rows(self) -> Iterator[Row]: ...

    def sibling(self, name: str) -> Source | None: ...


class Format(Protocol):
    """One way of writing feedback down.

    `name` is stable ("sharegpt"), `title` is for people, `mapping` says which of its keys becomes what of an event.
    """

    name: str
    title: str
    mapping: Mapping[str, str]

    def matches(self, source: Source, sample: Sequence[Any]) -> float:
        """How surely this is the format, 0-1, from the first rows' values; 0 is no. More specific formats say more."""
        ...

    def lessons(self, source: Source) -> Iterator[tuple[Row, Lessons | RowError]]:
        """Every row with what it holds, or why it cannot be taken. A row is never left out.

        Formats that read row by row inherit this from `RowFormat`; others join several files or rows.
        """
        ...


class RowFormat:
    """A format in which each row stands for itself; a subclass reads one row's value."""

    name: str
    title: str
    mapping: Mapping[str, str]

    def read(self, value: Any) -> Lessons:
        """What one row holds. Raises RowError."""
        raise NotImplementedError

    def lessons(self, source: Source) -> Iterator[tuple[Row, Lessons | RowError]]:
        """Every row of the source with what it holds, or why it cannot be taken."""
        for row in source.rows():
            if row.error:
                yield row, RowError(row.error)
                continue
            try:
                yield row, self.read(row.value)
            except RowError as error:
                yield row, error
            except RecursionError:
                yield row, RowError("It is nested too deeply.")
