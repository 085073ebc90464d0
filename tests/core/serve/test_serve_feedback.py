from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_kit import wait_for
from recording_kit import AT, event_count, exchange, in_store, journal_of, left_behind, segments
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.categories import load_categories
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from core.serve import feedback as feedback_module
from core.serve.feedback import Feedback
from core.serve.journal import Journal
from core.serve.recording import Recording
from core.serve.remark import Remark, remark_from
from storage import events, judgments, pairs
from storage.db import open_store
from storage.rows import EventRow

FIXED = "erDiagram\n    customer ||--o{ order : places\n    customer {\n        int id PK\n    }"
SCAM = {"event": "scam.detected", "data": {"message": "Send 1 BTC, get 2 back", "is_scam": True}}


class Gateway:
    """The routes with a journal and a recording behind them."""

    def __init__(self, home: Home, *, records: bool = True) -> None:
        self.home = home
        self.journal: Journal = journal_of(home)
        self.recording = Recording(home, Config(), load_categories(home), self.journal)
        self.feedback = Feedback(home, Config(), load_categories(home), self.journal, self.recording)
        self.client = TestClient(Starlette(routes=self.feedback.routes))
        if records:
            self.recording.start()
            assert self.recording.caught_up.wait(20.0)

    def say(self, **body: Any) -> tuple[int, dict[str, Any]]:
        return self.post("/feedback", body)

    def post(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        answer = self.client.post(path, content=json.dumps(body))
        return answer.status_code, answer.json()

    def event(self, event_id: int) -> EventRow:
        found: EventRow = in_store(self.home, lambda store: events.get(store, event_id))
        return found

    def close(self) -> None:
        asyncio.run(self.feedback.close())
        self.recording.stop()
        self.journal.close()


@pytest.fixture
def gateway(home: Home) -> Iterator[Gateway]:
    made = Gateway(home)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({"verdict": "good"}, "good"),
        ({"verdict": "bad"}, "bad"),
        ({"verdict": "up"}, "good"),
        ({"verdict": -1}, "bad"),
        ({"verdict": True}, "good"),
        ({"verdict": "👎"}, "bad"),
        ({"rating": 1}, "good"),
        ({"rating": -1}, "bad"),
        ({"rating": "up"}, "good"),
        ({"rating": "down"}, "bad"),
        ({"rating": "1"}, "good"),
        ({"rating": False}, "bad"),
        ({"rating": 5}, "good"),
        ({"rating": 4.5}, "good"),
        ({"rating": 3}, None),
        ({"rating": 2}, "bad"),
        ({"rating": 1, "scale": 5}, "bad"),
        ({"rating": "1/5"}, "bad"),
        ({"rating": "4/5"}, "good"),
        ({"stars": 1}, "bad"),
        ({"stars": 3}, None),
        ({"score": 95}, "good"),
        ({"score": 70}, None),
        ({"score": 0}, "bad"),
        ({"correction": "better"}, None),
        ({"correction": "better", "verdict": "bad", "note": "wrong key", "seconds": 3}, "bad"),
        ({"verdict": "good", "rating": 5, "score": 90}, "good"),
    ],
)
def test_the_forms_in_which_applications_speak(said: dict[str, Any], verdict: str | None) -> None:
    for key in ("id", "response_id"):
        remark = remark_from({key: "abc", **said}, at=AT)
        assert (remark.response_id, remark.at, remark.verdict) == ("abc", AT, verdict)
        assert remark.correction == said.get("correction", "")
        assert remark.note == said.get("note", "")
        assert Remark(**json.loads(remark.to_json())["remark"]) == remark


@pytest.mark.parametrize(
    "body",
    [
        [],
        "good",
        {},
        {"verdict": "good"},
        {"id": "", "verdict": "good"},
        {"id": {}, "verdict": "good"},
        {"id": "a"},
        {"id": "a", "note": "hm"},
        {"id": "a", "verdict": "perhaps"},
        {"id": "a", "verdict": 7},
        {"id": "a", "rating": 0},
        {"id": "a", "rating": 6},
        {"id": "a", "rating": float("nan")},
        {"id": "a", "rating": "meh"},
        {"id": "a", "rating": 0.5},
        {"id": "a", "stars": 0},
        {"id": "a", "score": 101},
        {"id": "a", "score": 0.9},
        {"id": "a", "correction": 5},
        {"id": "a", "verdict": "good", "note": ["x"]},
        {"id": "a", "verdict": "good", "rating": -1},
    ],
)
def test_what_is_not_clear_is_refused(body: Any) -> None:
    with pytest.raises(FinetuneError) as refusal:
        remark_from(body, at=AT)
    assert refusal.value.hint


def test_a_verdict_is_kept_once_however_often_it_is_sent(gateway: Gateway) -> None:
    said = exchange(1)
    gateway.journal.append(said)
    status, told = gateway.say(id=said.id, verdict="bad", note="ask bob@example.com")
    assert (status, told["verdict"], told["changed"]) == (200, "bad", True)
    event = gateway.event(told["event_id"])
    assert (event.verdict, event.source) == ("bad", "gateway")
    assert gateway.say(response_id=said.id, rating="down") == (200, {**told, "changed": False})
    (log,) = in_store(gateway.home, lambda store: judgments.history(store, event.id))
    assert log.note == "ask [EMAIL_1]"
    assert gateway.say(id=said.id, rating=5)[1]["changed"]
    assert gateway.say(id=said.id, verdict="bad")[1]["changed"]  # a person may change their mind twice
    assert gateway.event(event.id).verdict == "bad"


def test_a_correction_makes_a_pair(gateway: Gateway) -> None:
    said = exchange(1, response="erDiagram\n    customer ||--o{ ordr : x")
    gateway.journal.append(said)
    status, told = gateway.say(id=said.id, correction=FIXED, seconds=7)
    assert (status, told["verdict"]) == (200, "correct")
    assert told["correction_score"] > 0
    (pair,) = in_store(gateway.home, lambda store: pairs.list_pairs(store, "erd"))
    assert (pair.chosen, pair.rejected) == (FIXED, said.response)
    assert gateway.say(id=said.id, correction=FIXED)[1]["changed"] is False
    assert gateway.say(id=said.id, correction=said.response + " \n")[1]["verdict"] == "good"


def test_a_middle_mark_changes_nothing(gateway: Gateway) -> None:
    said = exchange(1)
    gateway.journal.append(said)
    status, told = gateway.say(id=said.id, stars=3)
    assert (status, told["changed"]) == (200, False)
    assert gateway.event(told["event_id"]).verdict is None


def test_an_answer_is_found_by_the_id_in_its_body(gateway: Gateway) -> None:
    one, two, three = (
        exchange(number, api="openai", body_id=name) for number, name in enumerate(("x-1", "x-2", "x-2"))
    )
    for each in (one, two, three):
        gateway.journal.append(each)
    status, told = gateway.say(id="x-1", verdict="good")
    assert (status, told["response_id"]) == (200, one.id)
    status, told = gateway.say(id="x-2", verdict="good")
    assert status == 409
    assert "X-Finetune-Response-Id" in told["error"]
    assert gateway.say(id=three.id, verdict="good")[0] == 200


@pytest.mark.parametrize("key", ["nonesuch", "lone \ud800 surrogate", "nul \x00", 7])
def test_an_id_that_nobody_has(gateway: Gateway, key: object) -> None:
    status, told = gateway.say(id=key, verdict="good")
    assert status == 404
    assert "No answer" in told["error"]


def test_an_answer_that_is_no_event(gateway: Gateway) -> None:
    said = exchange(1, complete=False)
    gateway.journal.append(said)
    status, told = gateway.say(id=said.id, verdict="good")
    assert status == 409
    assert "did not come to its end" in told["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"id": "a", "verdict": "hm"}'])
def test_a_body_that_says_nothing(gateway: Gateway, body: bytes) -> None:
    answer = gateway.client.post("/feedback", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("path", ["/feedback", "/events"])
def test_a_body_of_very_many_values_is_not_read(gateway: Gateway, path: str) -> None:
    answer = gateway.client.post(path, content=b"[" + b"0," * 1_000_001 + b"0]")
    assert answer.status_code == 400 and "1,000,000 values" in answer.json()["error"]


def test_feedback_that_comes_before_its_answer_is_recorded(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback_module, "WAIT_SECONDS", 0.05)
    gateway = Gateway(home, records=False)
    said = exchange(1)
    gateway.journal.append(said)
    status, told = gateway.say(id=said.id, verdict="bad")
    assert (status, told) == (202, {"response_id": said.id, "accepted": True})
    gateway.recording.start()
    assert gateway.recording.stop()
    with open_store(home.store) as store:
        assert events.get(store, 1).verdict == "bad"
    gateway.close()


def test_feedback_for_what_an_earlier_process_answered(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    said = exchange(1)
    left_behind(home, [said])
    monkeypatch.setattr(feedback_module, "WAIT_SECONDS", 0.05)
    gateway = Gateway(home, records=False)
    assert gateway.say(id=said.id, verdict="good")[0] == 202
    gateway.recording.start()
    assert gateway.recording.caught_up.wait(20.0)
    wait_for(lambda: not gateway.journal.waiting)
    status, told = gateway.say(id=said.id, verdict="good")
    assert (status, told["changed"]) == (200, False)
    gateway.close()


def test_feedback_to_a_busy_store_is_written_down(gateway: Gateway) -> None:
    said = exchange(1)
    gateway.journal.append(said)
    assert gateway.say(id=said.id, stars=3)[0] == 200  # recorded, and the routes' own store is open
    assert gateway.feedback._recorder is not None
    gateway.feedback._recorder.store.connection.execute("PRAGMA busy_timeout = 20")
    with sqlite3.connect(gateway.home.store, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert gateway.say(id=said.id, verdict="bad")[0] == 202
        other.execute("COMMIT")
    assert gateway.recording.stop()
    assert gateway.event(1).verdict == "bad"


def test_feedback_that_cannot_be_kept_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback_module, "WAIT_SECONDS", 0.05)
    gateway = Gateway(home, records=False)
    said = exchange(1)
    gateway.journal.append(said)
    monkeypatch.setattr(gateway.journal, "_limit", 10)
    answer = gateway.client.post("/feedback", json={"id": said.id, "verdict": "good"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    gateway.close()


def test_one_domain_event(gateway: Gateway) -> None:
    status, told = gateway.post("/events", SCAM)
    assert (status, told["taken"], told["refused"]) == (200, 1, [])
    event = gateway.event(told["events"][0]["event_id"])
    assert (event.category, event.source) == (told["events"][0]["category"], "events")
    again = gateway.post("/events/scam.detected", SCAM["data"])
    assert again[0] == 200
    assert (again[1]["events"][0]["event_id"], again[1]["events"][0]["duplicate"]) == (event.id, True)
    assert event_count(gateway.home) == 1


def test_many_domain_events_are_accounted_for_one_by_one(gateway: Gateway) -> None:
    rows = [SCAM, {"event": "no.such"}, 5, {"event": "scam.detected", "data": {}}]
    status, told = gateway.post("/events", rows)
    assert status == 200
    assert [each["index"] for each in told["events"]] == [0]
    assert [each["index"] for each in told["refused"]] == [1, 2, 3]
    assert all(each["error"] for each in told["refused"])


@pytest.mark.parametrize(
    ("path", "body"),
    [("/events", {"event": "no.such"}), ("/events/no.such", {}), ("/events", [5]), ("/events", [SCAM] * 1_001)],
)
def test_domain_events_of_which_none_can_be_taken(gateway: Gateway, path: str, body: Any) -> None:
    status, told = gateway.post(path, body)
    assert status == 400
    assert told.get("error") or told["refused"]
    assert event_count(gateway.home) == 0


def test_nothing_waits_in_the_journal_at_the_end(gateway: Gateway) -> None:
    for number in range(5):
        gateway.journal.append(exchange(number))
    assert gateway.recording.stop()
    assert segments(gateway.home) == []
