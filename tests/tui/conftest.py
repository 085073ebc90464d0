"""Homes with known events, and the app on them at a known size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.paths import Home
from core.select.split import bucket, content_hash, prompt_hash
from storage import events
from storage.db import Store
from storage.rows import NewEvent
from tui.app import FinetuneApp

RESPONSE = "erDiagram\n    CUSTOMER ||--o{ ORDER : places\n"


def make_event(number: int, *, prompt: str = "", response: str = RESPONSE, score: float | None = None) -> NewEvent:
    """Event `number`: later ones are newer and score higher."""
    asked = prompt or f"Draw diagram number {number}"
    return NewEvent(
        created_at=1_700_000_000.0 + number,
        category="erd",
        model="demo",
        prompt=asked,
        response=response,
        content_hash=content_hash(asked, response),
        prompt_hash=prompt_hash(asked),
        bucket=bucket(prompt_hash(asked)),
        feedback_type="neutral",
        score=float(number % 100) if score is None else score,
        valid=True,
        quality=0.5,
        tier="rejected",
    )


@pytest.fixture
def an_event() -> Callable[..., NewEvent]:
    """`an_event(number, prompt=…, response=…, score=…)`"""
    return make_event


@pytest.fixture
def five(store: Store) -> list[int]:
    """Five events, the newest last; ids in the order in which `newest` shows them."""
    return list(reversed(events.add_many(store, [make_event(number) for number in range(5)])))


@pytest.fixture
def app(home: Home) -> Iterator[FinetuneApp]:
    yield FinetuneApp(home)


@pytest.fixture
def new_app(home: Home) -> Callable[[], FinetuneApp]:
    """For a test that starts the app more than once."""
    return lambda: FinetuneApp(home)


@pytest.fixture
def hostile() -> list[str]:
    """What a terminal, a reader or a markup parser must never be given."""
    return [
        "\x1b]52;c;aGFybQ==\x07clip",
        "\x1b[31mEVILRED\x1b[0m",
        "\x9b31mEVILC1",
        "[/] [bold]x[/bold] list[int] and [/path] [type=x, v={'a[0]'}]",
        "left\u202eright\u200bzero\ufeffwidth",
        "\x00\x07\x08\x7f\r",
        "\ud800lone",
    ]


@pytest.fixture
def root() -> Path:
    return Path(__file__).parents[2]
