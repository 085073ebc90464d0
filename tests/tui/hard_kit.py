"""A store with failures in two patterns, a version that can be asked, and a server that answers from a list."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from versions_kit import add_version

from core.backends.backend import Generation, Message, Piece, Sampling
from core.paths import Home
from core.select.split import bucket, content_hash, is_held_out, prompt_hash
from storage import events, judgments
from storage.db import Store
from storage.rows import NewEvent

NOW = 1_700_000_000.0
GOOD = """erDiagram
    customer ||--o{ order : places
    customer {
        int id PK
        string name
    }
    order {
        int id PK
        int customer_id FK
        date placed_on
    }
"""
BROKEN = "erDiagram\n    customer ||--o{ order : places\n    customer {\n        string name\n    }\n"
FINDING = {"kind": "missing_pk", "message": "entity `customer` has no primary key", "line": 3, "severity": "error"}
OTHER = {"kind": "naming", "message": "attribute `orderDate` is not in snake_case", "line": 6, "severity": "error"}


def failure(number: int, *, category: str = "erd", finding: dict[str, object] = FINDING) -> NewEvent:
    """Failure `number`: later ones score higher; none of their prompts is kept for testing."""
    texts = (f"Draw the data model of shop {number}-{nonce}: customers place orders." for nonce in range(100))
    prompt = next(text for text in texts if not is_held_out(bucket(prompt_hash(text)), 20))
    key = prompt_hash(prompt)
    return NewEvent(
        created_at=NOW - 3_600 * (number + 1), category=category, model="demo", prompt=prompt, response=BROKEN,
        content_hash=content_hash(prompt, BROKEN), prompt_hash=key, bucket=bucket(key), feedback_type="neutral",
        score=20.0 + number, valid=False, quality=0.2, tier="rejected", findings=[finding],
    )  # fmt: skip


def seed(store: Store, home: Home) -> list[int]:
    """Eight failures, two of them corrected, one of those called bad before, and version 1; the ids."""
    kinds = [FINDING] * 5 + [OTHER] * 3
    ids = events.add_many(store, [failure(number, finding=kind) for number, kind in enumerate(kinds)])
    judgments.judge(store, ids[1], "bad", now=NOW - 500)
    for place in (1, 6):
        judgments.judge(store, ids[place], "correct", correction=GOOD, now=NOW - 400)
    add_version(store, home, 1)
    return ids


class Answers(Iterator[Piece]):
    """One answer in two parts; the second waits for `gate` where there is one, or until it is given up."""

    def __init__(self, text: str, gate: threading.Event | None) -> None:
        half = len(text) // 2
        whole = Generation(text, 3, len(text), 0.5, "stop")
        self._left = [Piece(text[:half]), Piece(text[half:]), Piece("", whole)]
        self._gate = gate
        self._cancelled = False

    def __next__(self) -> Piece:
        if self._gate is not None and len(self._left) == 2:
            self._gate.wait(60.0)
        if self._cancelled or not self._left:
            raise StopIteration
        return self._left.pop(0)

    def cancel(self) -> None:
        self._cancelled = True
        if self._gate is not None:
            self._gate.set()

    def close(self) -> None:
        self.cancel()


class Answering:
    """Answers every prompt with `text`; with `gate` not before that is set."""

    name = "scripted"

    def __init__(self, text: str = GOOD, gate: threading.Event | None = None) -> None:
        self.asked: list[str] = []
        self._text = text
        self._gate = gate

    def stream(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Answers:
        assert model.endswith(".gguf")
        self.asked.append(messages[-1].content)
        return Answers(self._text, self._gate)

    def close(self) -> None: ...
