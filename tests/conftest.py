"""Every test has a home of its own, no network for model hubs, no animations, and leaves no store open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from core.paths import Home
from storage.db import Store, open_store

# How long an example takes says nothing where other processes use the machine. `make test` takes the same examples
# every time, as what it says of a change must not depend on luck; every other run tries new ones.
settings.register_profile("new", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("same", settings.get_profile("new"), derandomize=True, database=None)
settings.load_profile("new")


@pytest.fixture(autouse=True)
def hermetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "FINETUNE_TUI_HOME": str(tmp_path / "home"),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TEXTUAL_ANIMATIONS": "none",
        "EDITOR": "false",
        "OLLAMA_HOST": "127.0.0.1:9",  # nobody answers there
        "OLLAMA_MODELS": str(tmp_path / "ollama"),
    }.items():
        monkeypatch.setenv(name, value)
    # The last two, which some ways to start tests set, would tell a program another size than its terminal's.
    for name in ("VISUAL", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    opened: list[Store] = []
    construct = Store.__init__

    def remember(self: Store, *arguments: object) -> None:
        construct(self, *arguments)  # type: ignore[arg-type]
        if threading.current_thread() is threading.main_thread():
            opened.append(self)  # a thread closes its own; closed under its hands it would end the process

    monkeypatch.setattr(Store, "__init__", remember)
    yield
    for store in opened:
        store.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.ensure()
    return made


@pytest.fixture
def store(home: Home) -> Store:
    return open_store(home.store)
