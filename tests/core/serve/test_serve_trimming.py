"""Rows of old answers go, with the worker and with the gateway; never one that the journal or a comparison needs."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from production_kit import answers
from recording_kit import exchange, journal_of, left_behind, record, rows
from versions_kit import add_version

from core.loop import LearningLoop
from core.paths import Home
from core.serve import watching
from core.serve.trimming import KEPT_DAYS, trim_responses
from core.serve.watching import Watching
from core.worker import Worker
from storage import aliases, responses
from storage.db import Store, open_store
from storage.responses import ResponseRow

NOW = 1_800_000_000.0
DAY = 86_400.0
ROW = ResponseRow("old", NOW - (KEPT_DAYS + 2) * DAY, "ollama", "erd", "llama3.2:3b", None, None, "No category.")


def left(store: Store) -> set[str]:
    return {key for (key,) in store.rows("SELECT id FROM responses")}


def counted(store: Store) -> int:
    return int(store.value("SELECT count(*) FROM events"))


def test_rows_older_than_the_limit_go_and_their_events_stay(store: Store, home: Home) -> None:
    (event,) = answers(store, "m", [50.0], at=ROW.at)
    recent = replace(ROW, id="recent", at=NOW - (KEPT_DAYS - 2) * DAY)
    ahead = replace(ROW, id="of a clock ahead", at=NOW + DAY)
    responses.add_many(store, [ROW, replace(ROW, id="old event", event_id=event), recent, ahead])
    assert trim_responses(store, home, now=NOW) == 2
    assert left(store) == {"recent", "of a clock ahead"}
    assert store.value("SELECT count(*) FROM events") == 1
    assert trim_responses(store, home, now=NOW) == 0


def test_many_go_in_several_transactions(store: Store, home: Home) -> None:
    responses.add_many(store, [replace(ROW, id=f"{number:05}") for number in range(4_500)])
    assert trim_responses(store, home, now=NOW) == 4_500 and left(store) == set()


def test_what_serves_and_what_served_before_can_still_be_compared(store: Store, home: Home) -> None:
    first, second, third = (add_version(store, home, number) for number in (1, 2, 3))
    for version in (first, second, third):
        told = {"name": "ft-erd", "category": "erd", "action": "promote", "who": "", "why": "", "evidence": {}}
        aliases.point(store, to_version=version.id, now=NOW, **told)  # type: ignore[arg-type]
    (event,) = answers(store, "m", [50.0], at=ROW.at)
    for version in (first, second, third):
        row = replace(ROW, version_id=version.id, id=version.name)
        responses.add_many(store, [replace(row, event_id=event), replace(row, id=f"{version.name} unrecorded")])
    assert trim_responses(store, home, now=NOW) == 4
    assert left(store) == {second.name, third.name}


def test_what_a_left_segment_may_hold_stays_so_that_nothing_is_recorded_twice(home: Home) -> None:
    """A gateway was killed between the commit and the removal of its segment, and started again a year later."""
    entries = [replace(exchange(number), at=time.time()) for number in range(3)]
    record(home, journal_of(home, entries))
    left_behind(home, entries)
    year_later = time.time() + 365 * DAY
    with open_store(home.store) as store:
        assert trim_responses(store, home, now=year_later) == 0
    record(home)
    assert len(rows(home)) == 3
    with open_store(home.store) as store:
        assert trim_responses(store, home, now=year_later) == 3


def test_the_worker_trims_at_its_clean_up(home: Home) -> None:
    with LearningLoop(home) as loop:
        responses.add_many(loop.store, [ROW])
        report = Worker(loop).look(now=NOW)
        assert any(step.what == "cleaned" and "old answers" in step.text for step in report.did)
        assert left(loop.store) == set()


async def test_the_gateway_trims(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And brings the events down to what a category may keep, also where no worker runs."""
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    home.config.write_text("[capture]\nretention = 100\n", encoding="utf-8")
    answers(store, "m", [50.0] * 130, at=NOW, bucket=50)
    responses.add_many(store, [replace(ROW, at=time.time() - (KEPT_DAYS + 1) * DAY)])
    looking = Watching(home, follows=False, say=lambda line: None)
    looking.start()
    deadline = time.monotonic() + 10
    while (left(store) or counted(store) > 100) and time.monotonic() < deadline:
        time.sleep(0.01)
    await looking.close()
    assert (left(store), counted(store)) == (set(), 100)
