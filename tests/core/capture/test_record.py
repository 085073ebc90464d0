from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.capture.record import Recorder
from core.categories import load_categories
from core.config import Capture, Config
from core.errors import CategoryError, ConflictError, FinetuneError
from core.paths import Home
from storage import events, judgments, pairs
from storage.db import Store, open_store
from storage.rows import EventFilter

GOOD = """erDiagram
    shop ||--o{ order : takes
    shop {
        int id PK
        string name
    }
    order {
        int id PK
        int shop_id FK
        date placed_on
    }"""
POOR = """erDiagram
    shop ||--o{ order : x
    shop {
        string shopName
    }
    order {
        date placedOn
    }"""
EXPECTED = {"expected": {"entities": ["shop", "order"]}}
ROW: dict[str, Any] = {
    "prompt": "ER diagram for a shop: shop, order.",
    "response": GOOD,
    "category": "erd",
    "model": "demo",
    "metadata": EXPECTED,
}
NOW = 1_700_000_000.0


@pytest.fixture
def recorder(store: Store, home: Home) -> Recorder:
    return Recorder(store, home, Config(), load_categories(home))


def test_a_good_output_is_judged_and_stored(recorder: Recorder, store: Store, home: Home) -> None:
    done = recorder.record(**ROW)
    assert (done.score, done.valid, done.feedback_type, done.duplicate) == (100.0, True, "success", False)
    # 0.60 × 1 + 0.15 for a clear outcome: silver begins above 0.75.
    assert (done.quality, done.tier) == (0.75, "bronze")
    with open_store(home.store) as other:
        event = events.get(other, done.event_id)
    assert (event.prompt, event.response, event.metadata) == (ROW["prompt"], GOOD, EXPECTED)
    assert event.quality_parts == {"score": 0.6, "outcome": 0.15}
    assert events.find_by_hash(store, "erd", event.content_hash) == done.event_id


@pytest.mark.parametrize(
    ("said", "kind", "verdict"),
    [
        ({"score": 80}, "success", None),
        ({"score": 79.9}, "neutral", None),
        ({"score": 60}, "neutral", None),
        ({"score": 59.9}, "validation_failure", None),
        ({"verdict": "good", "score": 10}, "explicit_positive", "good"),
        ({"verdict": "bad", "score": 99}, "explicit_negative", "bad"),
        ({"feedback_type": "explicit_positive"}, "explicit_positive", "good"),
        ({"feedback_type": "explicit_negative"}, "explicit_negative", "bad"),
        ({"correction": "erDiagram\n    shop {\n        int id PK\n    }"}, "user_correction", "correct"),
        (
            {"correction": "erDiagram\n    shop {\n        int id PK\n    }", "verdict": "bad"},
            "user_correction",
            "correct",
        ),
        ({"correction": GOOD + "  \n"}, "explicit_positive", "good"),
        ({"correction": "  "}, "success", None),
        ({"feedback_type": "neutral"}, "neutral", None),
    ],
)
def test_the_kind_of_feedback(
    recorder: Recorder, store: Store, said: dict[str, Any], kind: str, verdict: str | None
) -> None:
    done = recorder.record(**(ROW | said))
    event = events.get(store, done.event_id)
    assert (done.feedback_type, event.feedback_type, event.verdict) == (kind, kind, verdict)


def test_a_correction_is_validated_makes_a_pair_and_gold(recorder: Recorder, store: Store) -> None:
    done = recorder.record(**(ROW | {"response": POOR, "correction": GOOD, "seconds": 12.0}))
    assert done.tier == "gold"
    assert done.score is not None
    assert done.correction_score == 100.0
    assert done.score < 60
    (pair,) = pairs.list_pairs(store, "erd")
    assert (pair.chosen, pair.rejected, pair.source) == (GOOD, POOR, "correction")
    assert pair.margin == pytest.approx((100.0 - done.score) / 100.0)
    judgment = judgments.current(store, done.event_id)
    assert judgment is not None
    assert (judgment.kind, judgment.seconds) == ("correct", 12.0)


def test_the_same_output_is_stored_once_and_what_is_said_is_added(recorder: Recorder, store: Store) -> None:
    first = recorder.record(**(ROW | {"response": POOR}))
    again = recorder.record(**(ROW | {"response": POOR + "\n", "verdict": "bad"}))
    assert (again.event_id, again.duplicate, again.feedback_type) == (first.event_id, True, "explicit_negative")
    corrected = [recorder.record(**(ROW | {"response": POOR, "correction": GOOD})) for _ in range(2)]
    assert [each.tier for each in corrected] == ["gold", "gold"]
    assert [each.correction_score for each in corrected] == [100.0, 100.0]
    assert events.count(store, EventFilter()) == 1
    assert [row.kind for row in judgments.history(store, first.event_id)] == ["bad", "correct"]
    assert pairs.count(store, "erd") == 1
    later = recorder.record(**(ROW | {"response": POOR}))
    assert (later.tier, later.feedback_type) == ("gold", "user_correction")


def test_a_mended_typo_makes_no_pair(recorder: Recorder, store: Store) -> None:
    recorder.record(**(ROW | {"correction": GOOD.replace("takes", "take")}))
    assert pairs.count(store, "erd") == 0


def test_personal_data_is_gone_before_anything_is_stored(recorder: Recorder, store: Store) -> None:
    row = ROW | {
        "prompt": "ER diagram for jane@x.org: shop, order.",
        "response": POOR + "\n%% by jane@x.org",
        "correction": GOOD + "\n%% by Jane@x.org and joe@x.org",
        "context": "call +49 170 1234567",
        "metadata": {**EXPECTED, "user_id": "jane", "lesson": "ask joe@x.org"},
    }
    done = recorder.record(**row)
    event = events.get(store, done.event_id)
    assert event.prompt == "ER diagram for [EMAIL_1]: shop, order."
    assert event.correction is not None
    assert event.correction.endswith("by [EMAIL_1] and [EMAIL_2]")
    assert event.context == "call [PHONE_1]"
    assert event.metadata["lesson"] == "ask [EMAIL_2]"
    assert event.metadata["user_id"].startswith("user_")
    assert done.sanitized == event.sanitized == {"email": 5, "phone": 1, "user_id": 1}
    kept = recorder.record(**row, sanitize=False)
    assert "jane@x.org" in events.get(store, kept.event_id).prompt
    assert kept.sanitized == {}


def test_user_ids_are_hashed_with_a_secret_of_the_store(recorder: Recorder, tmp_path: Any) -> None:
    row = ROW | {"metadata": {"user_id": 17}}
    first, second = (recorder.record(**(row | {"prompt": f"{ROW['prompt']} {n}"})) for n in (1, 2))
    ids = {events.get(recorder.store, each.event_id).metadata["user_id"] for each in (first, second)}
    assert len(ids) == 1
    elsewhere = Home(tmp_path / "elsewhere")
    elsewhere.ensure()
    with open_store(elsewhere.store) as other:
        third = Recorder(other, elsewhere, Config(), recorder.categories).record(**row)
        assert events.get(other, third.event_id).metadata["user_id"] not in ids


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"prompt": " \n"}, "prompt is empty"),
        ({"response": ""}, "response is empty"),
        ({"model": ""}, "model is empty"),
        ({"prompt": None}, "not text"),
        ({"prompt": 3}, "not text"),
        ({"response": "x" * 1_000_001}, "at most 1,000,000"),
        ({"score": 100.1}, "from 0 to 100"),
        ({"score": -1}, "from 0 to 100"),
        ({"score": float("nan")}, "from 0 to 100"),
        ({"score": "90"}, "from 0 to 100"),
        ({"score": True}, "from 0 to 100"),
        ({"confidence": 2}, "from 0 to 1"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"created_at": float("inf")}, "created_at"),
        ({"verdict": "great"}, "good, bad, reject, skip"),
        ({"feedback_type": "sucess"}, "Did you mean success"),
        ({"feedback_type": "user_correction"}, "has no correction"),
        ({"metadata": [1]}, "mapping"),
        ({"metadata": {"a": object()}}, "JSON"),
        ({"metadata": {"a": float("nan")}}, "JSON"),
    ],
)
def test_bad_input_is_refused_with_a_way_out_and_stores_nothing(
    recorder: Recorder, store: Store, wrong: dict[str, Any], named: str
) -> None:
    with pytest.raises(FinetuneError) as caught:
        recorder.record(**(ROW | wrong))
    assert named in str(caught.value)
    assert caught.value.hint
    assert events.count(store, EventFilter()) == 0


def test_an_unknown_category_names_the_closest(recorder: Recorder) -> None:
    with pytest.raises(CategoryError, match="erd"):
        recorder.record(**(ROW | {"category": "edr"}))


@pytest.mark.parametrize("odd", ["a\x00b", "a\ud800b", "\u202ea", "\x1b[31m", "é\u0301", "𝔘", "a\r\nb"])
def test_odd_text_is_taken_and_found_again(recorder: Recorder, store: Store, odd: str) -> None:
    row = ROW | {"prompt": f"p {odd}", "response": f"r {odd}", "metadata": {"note": odd}, "context": odd}
    done = recorder.record(**row)
    event = events.get(store, done.event_id)
    assert "\x00" not in event.prompt
    event.prompt.encode()
    assert recorder.record(**row).duplicate


ROWS = st.lists(
    st.fixed_dictionaries(
        {"prompt": st.sampled_from(["a", "b", "c"]), "response": st.sampled_from([GOOD, POOR])},
        optional={
            "verdict": st.sampled_from(["good", "bad"]),
            "correction": st.sampled_from([GOOD, POOR]),
            "score": st.integers(0, 100),
            "created_at": st.sampled_from([NOW, NOW + 1e8]),
        },
    ),
    max_size=6,
)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_many_at_once_is_the_same_as_one_by_one(home: Home, tmp_path_factory: Any, rows: list[dict[str, Any]]) -> None:
    full = [{"category": "erd", "model": "m", "created_at": NOW, **row} for row in rows]
    outcomes = []
    for at_once in (True, False):
        with open_store(tmp_path_factory.mktemp("store") / "store.db") as store:
            recorder = Recorder(store, home, Config(), load_categories(home))
            done = recorder.record_many(full) if at_once else [recorder.record(**row) for row in full]
            stored = list(events.iter_events(store, EventFilter()))
            judged = [replace(row, id=0) for event in stored for row in judgments.history(store, event.id)]
            outcomes.append(([replace(each, reward=round(each.reward, 6)) for each in done], stored, judged))
    assert outcomes[0] == outcomes[1]


def test_many_are_stored_all_or_none_and_the_row_is_named(recorder: Recorder, store: Store) -> None:
    with pytest.raises(FinetuneError, match=r"Row 2: `promt` is no field.*prompt"):
        recorder.record_many([ROW, {"promt": "x"}])
    with pytest.raises(FinetuneError, match=r"Row 1: `model` is missing"):
        recorder.record_many([{"prompt": "x", "response": "y", "category": "erd"}])
    assert events.count(store, EventFilter()) == 0
    assert recorder.record_many([]) == []


def test_a_judgment_from_the_review_goes_the_same_way(recorder: Recorder, store: Store) -> None:
    done = recorder.record(**(ROW | {"response": POOR}))
    assert recorder.judging.judge(done.event_id, "good") is None
    validation = recorder.judging.judge(done.event_id, "correct", correction=GOOD + "\n%% a@x.org", now=NOW)
    assert validation is not None
    assert validation.score == 100.0
    assert events.get(store, done.event_id).correction == GOOD + "\n%% [EMAIL_1]"
    assert pairs.count(store, "erd") == 1
    with pytest.raises(ConflictError):
        recorder.judging.judge(done.event_id, "correct", correction="  ")
    with pytest.raises(FinetuneError):
        recorder.judging.judge(999, "good")
    assert pairs.count(store, "erd") == 1


def test_without_a_judge_of_quality_the_score_is_unknown(store: Store, home: Home) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    home.config.write_text(
        '[categories.notes]\nlike = "erd"\nvalidator = "none"\nvalidator_options = { min_chars = 40 }\n'
    )
    recorder = Recorder(store, home, Config(), load_categories(home))
    row = ROW | {"category": "notes", "response": "GET /shops lists the shops, page by page, newest first."}
    done = recorder.record(**row)
    assert (done.score, done.valid, done.feedback_type, done.tier) == (None, True, "neutral", "rejected")
    confirmed = recorder.record(**row, verdict="good")
    assert (confirmed.duplicate, confirmed.tier) == (True, "gold")
    assert recorder.record(**(row | {"response": "short"})).score == 0.0


def test_the_limits_are_settings(store: Store, home: Home) -> None:
    config = replace(Config(), capture=Capture(sanitize=False, max_chars=1_000))
    recorder = Recorder(store, home, config, load_categories(home))
    done = recorder.record(**(ROW | {"prompt": "for a@x.org"}))
    assert events.get(store, done.event_id).prompt == "for a@x.org"
    with pytest.raises(FinetuneError, match="at most 1,000"):
        recorder.record(**(ROW | {"prompt": "x" * 1_001}))


def test_what_follows_from_a_judgment_keeps_in_step_with_undo_and_redo(recorder: Recorder, store: Store) -> None:
    done = recorder.record(**(ROW | {"response": POOR}))
    before = events.get(store, done.event_id)
    recorder.judging.judge(done.event_id, "correct", correction=GOOD)
    corrected = events.get(store, done.event_id)
    assert (corrected.tier, len(pairs.list_pairs(store, corrected.category))) == ("gold", 1)
    recorder.judging.undo()
    undone = events.get(store, done.event_id)
    assert (undone.tier, undone.quality, undone.quality_parts) == (before.tier, before.quality, before.quality_parts)
    assert pairs.list_pairs(store, corrected.category) == []
    recorder.judging.redo()
    assert events.get(store, done.event_id) == corrected
    assert [pair.chosen for pair in pairs.list_pairs(store, corrected.category)] == [GOOD]


def test_why_an_output_is_generic_is_kept(recorder: Recorder, store: Store) -> None:
    done = recorder.record(**(ROW | {"response": "I'm sorry, but I cannot help with that."}))
    event = events.get(store, done.event_id)
    assert event.generic
    kept = [found for found in event.findings if found["kind"] == "generic"]
    assert kept == [{"kind": "generic", "message": "generic content: refusal", "line": None, "severity": "warning"}]
    assert done.findings[-1].kind == "generic"
