"""Stores as no version of this program writes them: rows that refer to nothing, figures out of any range, JSON of
another shape. SQLite takes all of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final

from storage.db import Store

FAR: Final = (-1e300, -1.0, 0.0, 1e18, 1e300, float("inf"))
"""Times that no calendar has, and the beginning of all."""
SHAPES: Final = ("[]", "{}", "null", "3", '"text"', "[null]", '{"a":{"b":[1]}}', '[{"kind":1,"message":[],"line":"x"}]')
_COUNTER = itertools.count(1)


def put(store: Store, table: str, values: Mapping[str, Any]) -> int:
    """Adds a row as it is; what it refers to need not be there."""
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    store.connection.execute("PRAGMA foreign_keys = OFF")
    with store.transaction():
        added = store.write(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))
    return int(added.lastrowid or 0)


def event(store: Store, **over: Any) -> int:
    """An event; texts may be empty and JSON of any shape."""
    number = next(_COUNTER)
    values: dict[str, Any] = {
        "created_at": 1.7e9 + number, "category": "erd", "model": "", "content_hash": f"c{number}",
        "prompt_hash": f"p{number}", "response_hash": number, "bucket": number % 100, "feedback_type": "neutral",
        "score": None, "valid": 1, "quality": 0.0, "tier": "rejected", "generic": 0, "source": "", "group_key": "",
        "findings": "[]", "quality_parts": "{}", "sanitized": "{}", "metadata": "{}", "prompt": "", "response": "",
        "system": "", "context": "", "history": "[]",
    }  # fmt: skip
    return put(store, "events", values | over)


def run(store: Store, **over: Any) -> int:
    """A run, on a dataset that need not be there."""
    values: dict[str, Any] = {
        "created_at": 1.7e9, "category": "erd", "base_model": "", "method": "", "status": "failed", "stage": "training",
        "settings": "{}", "dataset_id": 999, "folder": "", "total_steps": 0,
    }  # fmt: skip
    return put(store, "runs", values | over)


def version(store: Store, number: int, **over: Any) -> int:
    """A version, from a run and a parent that need not be there."""
    values: dict[str, Any] = {
        "created_at": 1.7e9, "name": f"bad-{next(_COUNTER)}", "category": "erd", "base_model": "demo", "number": number,
        "folder": "", "settings": "{}", "code_version": "",
    }  # fmt: skip
    return put(store, "versions", values | over)


def test(store: Store, a: int, b: int, **over: Any) -> int:
    """An A/B test of two versions that need not be there, without any pair."""
    values: dict[str, Any] = {
        "created_at": 1.7e9, "category": "erd", "version_a": a, "version_b": b, "seed": 0, "settings": "{}",
    }  # fmt: skip
    return put(store, "ab_tests", values | over)


def odd_figures(store: Store) -> None:
    """Empty texts, times and figures at the ends of what a column takes, and rows that refer to nothing."""
    for far in FAR:
        event(store, created_at=far, judged_at=far, latency_ms=far, confidence=far)
        run(store, created_at=far, started_at=far, finished_at=far, heartbeat=far, step=2**62, total_steps=-5)
        kept = version(store, 100 + next(_COUNTER), created_at=far, parent_id=998, run_id=997, dataset_id=996)
        test(store, kept, 995, created_at=far)
        put(store, "metrics", {"run_id": 994, "name": "", "step": -next(_COUNTER), "value": far, "at": far})
    for category in ("", "gone", "x" * 300):
        event(store, category=category, prompt="p", response="r")
    lone = run(store, status="queued", stage="queued", parent_version=993, start_version=992, version_id=991)
    for name, value in (("loss", None), ("loss", float("inf")), ("eval_loss", -1e308), ("eta_seconds", 1e300)):
        put(store, "metrics", {"run_id": lone, "name": name, "step": next(_COUNTER), "value": value, "at": 1.0})
    test(store, 990, 989)
    test(store, 990, 990, result="{}", finished_at=1.0)
    put(store, "aliases", {"name": "", "category": "erd", "version_id": 988, "updated_at": 0.0})
    put(store, "alias_changes", {"alias": "", "at": 1e300, "action": "promote", "from_version": 987,
                                 "to_version": 986, "who": "", "why": "", "evidence": "{}"})  # fmt: skip
    put(store, "comparisons", {"at": 0.0, "category": "erd", "first_event": 985, "second_event": 984,
                               "choice": "first", "swapped": 0})  # fmt: skip
    put(store, "pairs", {"created_at": 0.0, "category": "erd", "prompt": "", "chosen": "", "rejected": "",
                         "margin": 0.0, "source": "", "chosen_event": 983, "rejected_event": 982})  # fmt: skip
    put(store, "hard_tests", {"event_id": 981, "version_id": 980, "at": 1e300, "response": "", "passed": 7})
    put(store, "judgments", {"event_id": 979, "created_at": 1e300, "kind": "good", "note": "", "below": 0})
    put(store, "pins", {"at": 0.0, "event_id": 978, "pinned": 1})


def odd_shapes(store: Store) -> None:
    """Valid JSON of another shape than it should have, in every column that holds JSON."""
    for shape in SHAPES:
        event(store, findings=shape, quality_parts=shape, sanitized=shape, metadata=shape, history=shape, score=10.0)
        run(store, settings=shape)
        a = version(store, 200 + next(_COUNTER), settings=shape, metrics=shape, proof=shape, gguf=shape, proved=1)
        b = version(store, 200 + next(_COUNTER), settings=shape, parent_id=a, dataset_id=_dataset(store, shape))
        done = test(store, a, b, settings=shape, result=shape, finished_at=1.0)
        put(store, "ab_pairs", {
            "test_id": done, "position": 0, "prompt": "", "response_a": "", "response_b": "", "score_a": 1e300,
            "score_b": -1e300, "latency_a": -1.0, "latency_b": float("inf"), "tokens_a": -1, "tokens_b": 2**62,
            "winner": "tie",
        })  # fmt: skip
        alias = f"alias{next(_COUNTER)}"
        put(store, "aliases", {"name": alias, "category": f"c{alias}", "version_id": b, "updated_at": 0.0})
        put(store, "alias_changes", {"alias": alias, "at": 0.0, "action": "promote", "to_version": b, "who": "",
                                     "why": "", "evidence": shape})  # fmt: skip
        put(store, "imports", {"key": alias, "path": "", "started_at": 0.0, "position": shape, "counts": shape})


def _dataset(store: Store, shape: str) -> int:
    values = {"created_at": 0.0, "category": "erd", "hash": f"h{next(_COUNTER)}", "seed": 0, "settings": shape,
              "counts": shape}  # fmt: skip
    return put(store, "datasets", values)


def no_json(store: Store) -> None:
    """Texts that are no JSON at all in columns that hold it."""
    event(store, findings="{", metadata="not json", response="broken")
    run(store, settings="{'a'")
    version(store, 300, settings="", metrics="nan", proof="[", gguf="")
