"""A few hundred malformed requests; `benchmarks/gateway_fuzz.py` sends more."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_ollama import fake_ollama
from gateway_kit import Gateway, ask, hold, serving, wait_for

from benchmarks.gateway_fuzz import MODEL, storm
from core.paths import Home
from storage.db import Store


@pytest.fixture
def gateway(tmp_path: Path, home: Home, store: Store) -> Iterator[Gateway]:
    with fake_ollama("0.34.1", tmp_path / "ollama-store") as url:
        hold(url, MODEL)
        with serving(url, home, store) as running:
            yield running


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_malformed_requests_leave_nothing_behind(gateway: Gateway) -> None:
    await storm(gateway.address, iter(range(100)), seconds=0.05)
    wait_for(lambda: gateway.traffic.in_flight == 0)
    gc.collect()
    files, tasks = open_files(), len(asyncio.all_tasks(gateway.loop))
    found = await storm(gateway.address, iter(range(100, 500)), seconds=0.05)
    assert sum(found.values()) == 400 and not found["fault"] and not found["garbage"] and not found["refused"]
    assert found["400"] > 10 and found["200"] > 5
    wait_for(lambda: gateway.traffic.in_flight == 0 and len(asyncio.all_tasks(gateway.loop)) <= tasks)
    # Kept connections to the server behind come and go.
    wait_for(lambda: open_files() <= files + 10)
    assert ask(gateway.url, "/health")[2]["in_flight"] == 0
