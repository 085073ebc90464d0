"""What tests of validators share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No garbage collection during a test of running time: what thousands of tests have left would count as its own."""
    gc.disable()
    yield
    gc.enable()
