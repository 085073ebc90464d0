from __future__ import annotations

from dataclasses import replace

import pytest
from selection_kit import add_event

from storage import events, responses, retention
from storage.db import Store
from storage.errors import ConflictError
from storage.responses import ResponseRow

ROW = ResponseRow("a1", 10.0, "openai", "erd", "llama3.2:3b", None, None, "No category is set for it.", "chatcmpl-7")


def test_rows_come_back_as_they_were_added(store: Store) -> None:
    event = add_event(store, "a prompt")
    other = replace(ROW, id="a2", at=11.0, event_id=event, note="")
    responses.add_many(store, [ROW, other, replace(ROW, id="a3", api="ollama", body_id="")])
    assert [responses.get(store, key) for key in ("a1", "a2", "a4")] == [ROW, other, None]
    assert responses.known(store, ["a1", "a4", "a3"]) == {"a1", "a3"}
    assert responses.by_body_id(store, "chatcmpl-7") == [other, ROW]
    assert responses.by_body_id(store, "chatcmpl-7", limit=1) == [other]
    assert responses.by_body_id(store, "") == []
    assert responses.total(store) == 3


def test_an_answer_is_added_once_and_refers_to_what_is_there(store: Store) -> None:
    responses.add_many(store, [ROW])
    for wrong in (ROW, replace(ROW, id="b", event_id=99), replace(ROW, id="c", version_id=99)):
        with pytest.raises(ConflictError):
            responses.add_many(store, [replace(ROW, id="fine"), wrong])
    assert responses.total(store) == 1


def test_an_event_may_be_cleaned_up_and_its_answer_stays(store: Store) -> None:
    event = add_event(store, "a prompt", tier="rejected", bucket=50)
    responses.add_many(store, [replace(ROW, event_id=event)])
    assert [one.id for one in retention.removable(store, "erd", "rejected", held_out_percent=20, limit=5)] == [event]
    assert retention.protected(store, "erd", held_out_percent=20) == {}
    retention.remove(store, [event], [])
    assert events.get_many(store, [event]) == []
    assert responses.get(store, "a1") == ROW
