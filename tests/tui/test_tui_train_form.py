"""The form of a new run: its method, base model and start, what they bring along, and the run that comes of them."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pilot_kit import until
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList, Select, Static

sys.path.insert(0, str(Path(__file__).parents[1] / "core" / "backends"))
sys.path.insert(0, str(Path(__file__).parents[1] / "core" / "release"))

from gguf_making import write_gguf
from ollama_holding import add_model

from assets import ASSETS
from assets.demo.corpus import ideal, requests
from core.paths import Home
from core.select.split import bucket, content_hash, is_held_out, prompt_hash
from core.train.presets import PRESETS
from core.training import adapter_of
from storage import events, judgments, pairs, runs, versions
from storage.db import Store
from storage.rows import NewEvent
from tui.app import FinetuneApp
from tui.screens.base_list import BaseListScreen
from tui.widgets.run_form import RunForm

BASE = ASSETS / "demo" / "model"
SIZE = (110, 40)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.runs.form_outlook.SETTLE_SECONDS", 0.02)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The runs whose process was started; this process stands for each of them."""
    started: list[int] = []

    def launch(home: Home, run_id: int) -> int:
        started.append(run_id)
        return os.getpid()

    monkeypatch.setattr("core.dispatch.launch", launch)
    return started


@pytest.fixture
def taught(store: Store) -> list[int]:
    """Forty right answers to prompts that are not kept for testing; ids."""
    found: list[NewEvent] = []
    for each in requests(3, 80, split="feedback"):
        key, answer = prompt_hash(each.prompt), ideal(each)
        if not is_held_out(bucket(key)) and len(found) < 40:
            found.append(
                NewEvent(
                    created_at=1.0,
                    category="erd",
                    model="demo",
                    prompt=each.prompt,
                    response=answer,
                    content_hash=content_hash(each.prompt, answer),
                    prompt_hash=key,
                    bucket=bucket(key),
                    feedback_type="success",
                    score=95.0,
                    valid=True,
                    quality=0.7,
                    tier="bronze",
                )
            )
    return events.add_many(store, found)


@pytest.fixture
def compared(store: Store, taught: list[int]) -> int:
    """Pairs with these answers as the better ones; how many."""
    for event_id in taught[:30]:
        event = events.get(store, event_id)
        pairs.add(
            store, created_at=2.0, category="erd", prompt=event.prompt, chosen=event.response,
            rejected=f"erDiagram\n    THING{event_id} ||--o{{ OTHER{event_id} : is\n", margin=0.5, source="ranking",
            chosen_event=event_id,
        )  # fmt: skip
    return 30


def a_version(store: Store, home: Home, number: int, *, adapter: bool = True, proved: bool = True) -> str:
    added = versions.add(
        store, created_at=float(number), name=f"ft-demo-erd-v{number}", category="erd", base_model="demo",
        number=number, run_id=None, parent_id=None, dataset_id=None, folder=f"models/demo/erd/v{number}",
        settings={"rank": 32, "alpha": 64}, code_version="0",
    )  # fmt: skip
    versions.update(store, added, proved=proved)
    version = versions.get(store, added)
    if adapter:
        adapter_of(home, version).parent.mkdir(parents=True)
        adapter_of(home, version).write_bytes(b"weights")
    return version.name


class Form:
    """The form as a person sees it."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot

    @classmethod
    async def opened(cls, pilot: Pilot[None]) -> Form:
        form = cls(pilot)
        await pilot.press("5")
        await until(pilot, lambda: form.text("epochs") and form.memory and form.data and "counting" not in form.data)
        return form

    @property
    def widget(self) -> RunForm:
        return self.pilot.app.screen.query_one(RunForm)

    @property
    def memory(self) -> str:
        return str(self.widget.query_one("#form-memory", Static).visual)

    @property
    def data(self) -> str:
        return str(self.widget.query_one("#form-data", Static).visual)

    @property
    def progress(self) -> str:
        return str(self.widget.query_one("#form-progress", Static).visual)

    def text(self, key: str) -> str:
        return self.widget.query_one(f"#form-{key}", Input).value

    def type(self, key: str, text: str) -> None:
        self.widget.query_one(f"#form-{key}", Input).value = text

    def choose(self, key: str, value: str) -> None:
        self.widget.query_one(f"#form-{key}", Select).value = value

    def offered(self, key: str) -> list[str]:
        return [str(value) for _, value in self.widget.query_one(f"#form-{key}", Select)._options]

    async def until(self, condition: Callable[[], object]) -> None:
        await until(self.pilot, condition)


@pytest.fixture
def ollama(tmp_path: Path) -> Path:
    """Ollama's store, with the demonstration model under a name of its own."""
    file = write_gguf(BASE, tmp_path / "made.gguf")
    add_model(tmp_path / "ollama", "tiny:1", layers={"model": file.read_bytes()})
    return tmp_path / "ollama"


class Making:
    """Stands for the process that takes a GGUF file apart: it tells its tale and waits for `go`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[Mapping[str, Any]] = []

    def __call__(self, task: Mapping[str, Any], log: Path, note: Callable[[str], None]) -> dict[str, Any]:
        self.asked.append(task)
        note("Taking tiny apart: 40%.")
        assert self.go.wait(60.0)
        note("Comparing answers: 50%.")
        shutil.copytree(BASE, task["folder"])
        return {"kind": "f16", "chat_template": "of the file", "proof": [{"name": "all", "passed": True}]}


@pytest.fixture
def making(monkeypatch: pytest.MonkeyPatch) -> Iterator[Making]:
    child = Making()
    monkeypatch.setattr("core.train.gguf_base._run_child", child)
    yield child
    child.go.set()


async def test_the_method_brings_its_learning_rate_and_its_data(app: FinetuneApp, compared: int) -> None:
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        assert form.text("learning_rate") == "0.002"
        assert "examples to train on" in form.data
        form.choose("method", "dpo")
        await form.until(lambda: form.text("learning_rate") == "1e-4")
        await form.until(lambda: "pairs to train on" in form.data and "ranking" in form.data)
        form.choose("method", "kto")
        await form.until(lambda: "thumbs to train on" in form.data and "mark good answers" in form.data)
        form.choose("method", "sft")
        await form.until(lambda: form.text("learning_rate") == "0.002")


async def test_what_was_typed_stays_when_the_method_or_the_base_changes(app: FinetuneApp, compared: int) -> None:
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        form.type("learning_rate", "3e-5")
        form.choose("method", "dpo")
        await form.until(lambda: "pairs to train on" in form.data)
        assert form.text("learning_rate") == "3e-5"
        assert form.text("batch_size") == "8"
        form.type("base", "qwen3-1.7b")
        await form.until(lambda: form.text("batch_size") == "1")
        assert form.text("learning_rate") == "3e-5"


async def test_the_configured_method_opens_the_form_with_its_rate(app: FinetuneApp, home: Home, compared: int) -> None:
    home.config.write_text('[train]\nmethod = "dpo"\n', encoding="utf-8")
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        assert form.widget.request.method == "dpo"
        assert form.text("learning_rate") == "1e-4"


async def test_a_run_by_pairs_is_started_as_one(
    app: FinetuneApp, store: Store, compared: int, launched: list[int]
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        form.choose("method", "dpo")
        form.choose("quantize_base", "off")
        await form.until(lambda: form.text("learning_rate") == "1e-4")
        form.type("epochs", "2")
        await pilot.press("ctrl+s")
        await form.until(lambda: launched)
    run = runs.get(store, launched[0])
    assert (run.method, run.base_model, run.start_version) == ("dpo", "demo", None)
    assert run.settings["learning_rate"] == pytest.approx(1e-4)
    assert (run.settings["epochs"], run.settings["quantize_base"]) == (2, "off")


async def test_a_start_before_the_form_has_settled_takes_the_rate_of_the_method(
    app: FinetuneApp, store: Store, compared: int, launched: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        monkeypatch.setattr("tui.runs.form_outlook.SETTLE_SECONDS", 60.0)
        form.type("rank", "4")
        form.choose("method", "dpo")
        await pilot.press("ctrl+s")
        await form.until(lambda: launched)
    settings = runs.get(store, launched[0]).settings
    assert settings["learning_rate"] == pytest.approx(1e-4)
    assert settings["rank"] == 4


async def test_a_run_without_thumbs_says_why_it_cannot_start(
    app: FinetuneApp, store: Store, taught: list[int], launched: list[int]
) -> None:
    for event_id in taught[:5]:
        judgments.judge(store, event_id, "good", now=3.0)
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        form.choose("method", "kto")
        await form.until(lambda: "were marked good and none bad" in form.data)
        await pilot.press("ctrl+s")
        await form.until(lambda: app._notifications)
        assert "Thumbs of one side only" in [each.title for each in app._notifications]
    assert runs.list_runs(store) == []
    assert launched == []


async def test_going_on_from_a_version_keeps_the_size_of_its_adapter(
    app: FinetuneApp, store: Store, home: Home, taught: list[int], launched: list[int]
) -> None:
    a_version(store, home, 1)
    newest = a_version(store, home, 2)
    a_version(store, home, 3, adapter=False)
    a_version(store, home, 4, proved=False)
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        assert form.offered("from") == ["", newest, "ft-demo-erd-v1"]
        form.choose("from", newest)
        await form.until(lambda: form.text("rank") == "32" and form.text("alpha") == "64")
        assert form.widget.query_one("#form-rank", Input).disabled
        form.choose("from", "")
        await form.until(lambda: form.text("rank") == "8")
        assert not form.widget.query_one("#form-rank", Input).disabled
        form.choose("from", newest)
        form.choose("method", "dpo")  # what is suggested for it leaves the adapter's size alone
        await form.until(lambda: form.text("learning_rate") == "1e-4")
        assert form.text("rank") == "32"
        form.choose("method", "sft")
        await form.until(lambda: form.text("learning_rate") == "0.002")
        form.type("base", "qwen3-1.7b")
        await form.until(lambda: form.offered("from") == [""])
        assert form.text("rank") == "8"
        form.type("base", "demo")
        await form.until(lambda: len(form.offered("from")) == 3)
        form.choose("from", newest)
        await pilot.press("ctrl+s")
        await form.until(lambda: launched)
    run = runs.get(store, launched[0])
    assert run.start_version is not None
    assert versions.get(store, run.start_version).name == newest
    assert (run.settings["rank"], run.settings["alpha"]) == (32, 64)


async def test_what_makes_it_fit_may_lie_beside_the_form(app: FinetuneApp, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.train import memory
    from core.train.config import TrainSettings

    def tight(config: Mapping[str, Any], settings: TrainSettings, device: object) -> memory.MemoryPlan:
        found = memory.detect_device()
        smaller = replace(settings, quantize_base="on", gradient_checkpointing="on", optimizer="adamw_8bit")
        fits = settings == smaller
        return memory.MemoryPlan("fits" if fits else "tight", {"all": 1}, found, None if fits else smaller)

    monkeypatch.setattr(memory, "estimate", tight)
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        await form.until(lambda: "F2 makes it fit: " in form.memory)
        for words in ("gradient checkpointing on", "4-bit base on", "optimizer adamw 8bit"):
            assert words in form.memory
        await pilot.press("f2")
        await form.until(lambda: "✓ fits" in form.memory)
        assert "With gradient checkpointing on, optimizer adamw 8bit." in form.memory
        settings = form.widget.request.settings
        assert (settings["quantize_base"], settings["optimizer"]) == ("on", "adamw_8bit")
        assert settings["gradient_checkpointing"] == "on"
        form.type("base", "qwen3-1.7b")  # what fitted one model says nothing of another
        await form.until(lambda: not form.widget.more)
        assert form.widget.request.settings["quantize_base"] == "auto"


async def test_a_model_that_is_not_here_says_so_with_the_next_step(app: FinetuneApp, taught: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        form.type("base", "qwen3-1.7b")
        await form.until(lambda: "models --download qwen3-1.7b" in form.memory)
        assert "GB free on the computer" in form.memory
        form.type("base", "no-such-model")
        await form.until(lambda: "neither a known base model nor a folder" in form.memory)


@pytest.mark.usefixtures("ollama")
async def test_a_model_of_ollama_is_told_from_its_header_alone(
    app: FinetuneApp, taught: list[int], making: Making
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        form.type("base", "ollama:tiny:1")
        await form.until(lambda: "Ollama holds it" in form.memory)
        assert "GB free on the computer" in form.memory
        assert "MB of disk" in form.memory
        assert making.asked == []


@pytest.mark.usefixtures("ollama")
async def test_a_model_of_ollama_is_made_ready_and_trained(
    app: FinetuneApp, store: Store, home: Home, taught: list[int], making: Making, launched: list[int]
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        form.type("base", "ollama:tiny:1")
        await form.until(lambda: "Ollama holds it" in form.memory)
        await pilot.press("ctrl+s")
        await form.until(lambda: "40%" in form.progress)
        assert form.widget.query_one("#form-start", Button).has_focus
        await pilot.press("ctrl+s")  # once is enough
        await pilot.press("5")
        making.go.set()
        await form.until(lambda: launched)
        await form.until(lambda: not form.widget.has_class("-making"))
    assert len(making.asked) == 1
    run = runs.get(store, launched[0])
    assert run.base_model == str(home.models / "base" / "tiny-1-gguf")
    assert (home.models / "base" / "tiny-1-gguf" / "source.json").is_file()


@pytest.mark.usefixtures("ollama")
async def test_making_a_base_ready_can_be_broken_off(
    app: FinetuneApp, store: Store, home: Home, taught: list[int], making: Making, launched: list[int]
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        form.type("base", "ollama:tiny:1")
        await form.until(lambda: "Ollama holds it" in form.memory)
        await pilot.press("ctrl+s")
        await form.until(lambda: "40%" in form.progress)
        await pilot.press("x")
        await form.until(lambda: "Breaking off" in form.progress)
        making.go.set()
        await form.until(lambda: not form.widget.has_class("-making"))
        assert "Start training" in str(form.widget.query_one("#form-start", Button).label)
        assert not app._notifications
    assert list((home.models / "base").iterdir()) == []
    assert launched == [] and runs.list_runs(store) == []


@pytest.mark.usefixtures("ollama")
async def test_all_base_models_are_listed_and_one_is_chosen(app: FinetuneApp, taught: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: isinstance(app.screen, BaseListScreen))
        listed = [str(one.prompt) for one in app.screen.query_one(OptionList).options]
        assert len(listed) == len(PRESETS) + 1
        assert listed[0].startswith("demo") and "fits" in listed[0]
        assert "ollama:tiny:1" in listed[-1] and "in Ollama" in listed[-1]
        await pilot.press("j", "k", "end", "enter")
        await form.until(lambda: form.text("base") == "ollama:tiny:1")
        await form.until(lambda: "Ollama holds it" in form.memory)
        form.widget.query_one("#form-base", Input).focus()
        await pilot.press("down", "escape")
        assert form.text("base") == "ollama:tiny:1"


@pytest.mark.usefixtures("ollama")
async def test_a_name_of_ollama_is_completed_as_it_is_typed(app: FinetuneApp, taught: list[int]) -> None:
    async with app.run_test(size=SIZE) as pilot:
        form = await Form.opened(pilot)
        field = form.widget.query_one("#form-base", Input)
        field.focus()
        field.value = ""
        await pilot.press("o", "l", "l", "a")
        await form.until(lambda: field._suggestion == "ollama:tiny:1")
        await pilot.press("right")
        assert field.value == "ollama:tiny:1"
