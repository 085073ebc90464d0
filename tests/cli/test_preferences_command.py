"""`preferences` and `candidates` as a user calls them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import click
import pytest
from click.testing import CliRunner
from versions_kit import add_version

from core.backends.backend import Generation, Message, Sampling
from core.capture.comparing import record_comparison
from core.capture.record import Recorder
from core.categories import load_categories
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from core.select.split import is_held_out
from storage import events, pairs
from storage.db import Store
from tui.cli.candidates import candidates
from tui.cli.preferences import preferences

ANSWERS = (
    "erDiagram\n    shop ||--o{ order : takes\n    shop {\n        int id PK\n    }\n"
    "    order {\n        int id PK\n    }",
    "There is no diagram in this answer, only words about shops.",
)


def call(command: click.Command, *arguments: str) -> str:
    done = CliRunner().invoke(command, list(arguments))
    if done.exception is not None:
        raise done.exception
    return done.output


def as_json(command: click.Command, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call(command, *arguments, "--json"))
    return found


@pytest.fixture
def answered(store: Store, home: Home) -> tuple[int, int]:
    """A good and a poor answer to one prompt that may be trained on."""
    recorder = Recorder(store, home, Config(), load_categories(home))
    for number in range(100):
        row = {"prompt": f"Shop number {number}: shop, order", "category": "erd", "model": "m"}
        first = recorder.record(response=ANSWERS[0], **row).event_id
        if not is_held_out(events.get(store, first).bucket):
            return first, recorder.record(response=ANSWERS[1], **row).event_id
    raise AssertionError("every prompt is held out")


def test_nothing_is_there_yet(store: Store) -> None:
    assert "erd: 0 preference pairs, 0 of them usable" in call(preferences, "erd")
    found = as_json(preferences, "erd")
    assert (found["pairs"], found["contradictions"], found["inferred"]) == (0, [], None)
    with pytest.raises(FinetuneError, match="no category"):
        call(preferences, "erdd")


def test_pairs_are_inferred_once(answered: tuple[int, int]) -> None:
    first = as_json(preferences, "erd", "--infer")
    assert (first["inferred"], first["by_source"], first["shares"]) == (1, {"sibling": 1}, {"sibling": 1.0})
    assert as_json(preferences, "erd", "--infer")["inferred"] == 0
    shown = call(preferences, "erd", "--infer")
    assert "0 pairs inferred" in shown and "sibling" in shown and "margins: median" in shown


def test_contradictions_and_consistency_are_told(store: Store, answered: tuple[int, int]) -> None:
    good, poor = answered
    call(preferences, "erd", "--infer")
    record_comparison(store, poor, good, "first", now=1.0)
    record_comparison(store, poor, good, "first", now=2.0)
    texts = pairs.texts(store, good, poor)._asdict()
    for _ in range(2):
        pairs.add(store, created_at=0.5, category="erd", **texts, margin=0.3, source="import")
    found = as_json(preferences, "erd")
    sibling, ranking, older, repeat = (row.id for row in pairs.list_pairs(store, "erd"))
    assert found["duplicates"] == [{"holds": repeat, "repeats": [older, sibling]}]
    assert [(one["loses"], one["holds"]) for one in found["contradictions"]] == [(repeat, [ranking])]
    assert found["usable"] == 1
    assert found["consistency"]["agreement"] == 1.0 and found["consistency"]["repeats"] == 1
    shown = call(preferences, "erd")
    assert f"pair {repeat} (import) loses to pair {ranking}: a newer statement of a person holds" in shown
    assert f"pair {repeat} holds, not {older}, {sibling}" in shown
    assert "agreement with oneself 100%" in shown and "1 asked twice" in shown
    assert f"pair {repeat}" not in call(preferences, "erd", "--limit", "0")


class Fake:
    """Stands where llama.cpp would, and answers in turn."""

    name = "fake"

    def __init__(self, **_: object) -> None:
        self.asked = 0

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        assert Path(model).is_file()
        self.asked += 1
        return Generation(f"{ANSWERS[self.asked % 2]}\n%% {self.asked}", 5, 20, 0.1, "stop")

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def test_candidates_of_a_file_and_of_a_version(
    store: Store, home: Home, answered: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.cli.candidates.ModelsByName", Fake)
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    done = as_json(candidates, "erd", "--model", str(file), "--n", "2")
    assert (done["model"], done["answered"], done["recorded"], done["pairs"]) == ("mine", 1, 2, 1)
    assert as_json(candidates, "erd", "--model", str(file), "--n", "2")["known"] == 1
    version = add_version(store, home)
    shown = call(candidates, "erd", "--model", version.name, "--n", "2", "--seed", "5")
    assert f"{version.name} answered 1 of 1 prompts of erd" in shown
    assert "answered before" not in shown


def test_candidates_of_the_base_model_where_nothing_was_trained(
    home: Home, answered: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(source: Path, target: Path, **_: object) -> None:
        target.write_bytes(b"GGUF")

    monkeypatch.setattr("core.release.gguf.export_gguf", export)
    monkeypatch.setattr("tui.cli.candidates.ModelsByName", Fake)
    done = as_json(candidates, "erd", "--n", "2")
    assert (done["model"], done["answered"], done["recorded"]) == ("demo", 1, 2)


def test_a_model_that_is_not_there_is_said(store: Store, home: Home) -> None:
    with pytest.raises(FinetuneError, match="There is no file"):
        call(candidates, "erd", "--model", "gone.gguf")
    with pytest.raises(FinetuneError, match="There is no version"):
        call(candidates, "erd", "--model", "gone")
    version = add_version(store, home)
    for entry in version.gguf.values():
        home.resolve(str(entry["path"])).unlink()
    with pytest.raises(FinetuneError, match="missing"):
        call(candidates, "erd", "--model", version.name)
