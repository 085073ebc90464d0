from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from storage import datasets, events, runs, versions
from storage.db import Store
from storage.rows import DatasetItem, NewEvent

MakeEvent = Callable[..., NewEvent]


def build_event(number: int = 1, **changes: Any) -> NewEvent:
    values: dict[str, Any] = {
        "created_at": 1_700_000_000.0 + number,
        "category": "erd",
        "model": "demo",
        "prompt": f"Draw shop number {number}",
        "response": f"erDiagram\n  SHOP{number} ||--o{{ ORDER : takes",
        "content_hash": f"b2:{number:032x}",
        "prompt_hash": f"b2:{number + 7:032x}",
        "bucket": number % 100,
        "feedback_type": "success",
        "score": float(number % 101),
        "valid": True,
        "quality": 0.8,
        "tier": "silver",
    }
    return NewEvent(**(values | changes))


@pytest.fixture
def new_event() -> MakeEvent:
    return build_event


@pytest.fixture
def filled(store: Store) -> Store:
    """Ten events of `erd` with ids 1-10."""
    events.add_many(store, [build_event(number) for number in range(1, 11)])
    return store


@pytest.fixture
def dataset(filled: Store) -> int:
    """Event 1 in the train split, event 2 in the test split."""
    items = [
        DatasetItem(0, 1, "train", "p", "t", "", 1.0, 0.2, "easy"),
        DatasetItem(1, 2, "test", "p2", "t2", "", 1.0, 0.6, "medium"),
    ]
    return datasets.add(
        filled,
        created_at=1.0,
        category="erd",
        hash="b2:d",
        seed=3,
        settings={"a": [1]},
        counts={"taken": 2},
        items=items,
    )


@pytest.fixture
def new_run(filled: Store, dataset: int) -> Callable[[], int]:
    def make() -> int:
        return runs.enqueue(
            filled,
            created_at=2.0,
            category="erd",
            base_model="demo",
            method="sft",
            settings={"epochs": 3},
            dataset_id=dataset,
            parent_version=None,
            total_steps=40,
        )

    return make


@pytest.fixture
def new_version(filled: Store) -> Callable[[int], int]:
    def make(number: int) -> int:
        return versions.add(
            filled,
            created_at=float(number),
            name=f"ft-demo-erd-v{number}",
            category="erd",
            base_model="demo",
            number=number,
            run_id=None,
            parent_id=None,
            dataset_id=None,
            folder=f"models/demo/erd/v{number}",
            settings={"rank": 8},
            code_version="1",
        )

    return make
