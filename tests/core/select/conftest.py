from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from selection_kit import add_event

from core.categories import Category, load_categories
from core.paths import Home
from storage.db import Store


@pytest.fixture
def erd(home: Home) -> Category:
    """ER diagrams without their validator, for what is about selection."""
    return replace(load_categories(home)["erd"], validator="none")


@pytest.fixture
def add(store: Store) -> Callable[..., int]:
    return partial(add_event, store)
