from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.message import Message

from core.errors import ConfigError, FinetuneError, StoreError
from core.paths import Home
from storage import datasets, runs, ui_state
from storage.db import Store
from tui.app import FinetuneApp
from tui.keymap import load_keymap
from tui.messages import StoreChanged
from tui.screens.confirm import ConfirmScreen
from tui.screens.dashboard import DashboardScreen
from tui.screens.edit import EditScreen
from tui.screens.review import ReviewScreen
from tui.widgets.virtual_table import VirtualTable

HEAVY = {"torch", "transformers", "peft", "llama_cpp", "gguf", "scipy", "numpy", "rapidfuzz"}


def test_starting_the_app_imports_nothing_heavy(root: Path) -> None:
    code = "import tui.app, tui.screens.dashboard, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root)
    assert not HEAVY & set(json.loads(done.stdout))


def test_every_binding_has_an_id_of_its_own_a_description_and_a_tooltip() -> None:
    owners = [FinetuneApp, DashboardScreen, ReviewScreen, ConfirmScreen, EditScreen, VirtualTable]
    found = [binding for owner in owners for binding in owner.BINDINGS if isinstance(binding, Binding)]
    assert all(binding.id and binding.description and binding.tooltip for binding in found)
    assert len({binding.id for binding in found}) == len(found)
    for screen in (DashboardScreen, ReviewScreen):
        shown = [binding for binding in screen.BINDINGS if isinstance(binding, Binding) and binding.show]
        assert len(shown) <= 6


async def test_leaving_during_a_run_says_that_it_goes_on(app: FinetuneApp, store: Store) -> None:
    dataset = datasets.add(store, created_at=1.0, category="erd", hash="b2:1", seed=0, settings={}, counts={}, items=[])
    run = runs.enqueue(
        store,
        created_at=time.time(),
        category="erd",
        base_model="demo",
        method="sft",
        settings={},
        dataset_id=dataset,
        parent_version=None,
    )
    said: list[object] = []
    async with app.run_test() as pilot:
        runs.claim(store, run, pid=1, pid_started=1.0, now=time.time())
        await pilot.press("q")
        said = [str(message) for message in app._exit_renderables]
    assert said == ["Run 1 (erd) goes on in the background; open finetune-tui again to watch it."]


async def test_writes_keep_their_order_and_are_done_when_the_app_has_ended(app: FinetuneApp, store: Store) -> None:
    order: list[int] = []

    def write(number: int) -> Callable[[Store], None]:
        def work(own: Store) -> None:
            time.sleep(0.01 if number % 2 else 0.0)
            order.append(number)
            ui_state.save(own, "last", number)

        return work

    threads: list[str] = []
    async with app.run_test():
        app.write(lambda _: threads.append(threading.current_thread().name), doing="looking at the thread")
        for number in range(20):
            app.write(write(number), doing="counting")
    assert order == list(range(20))
    assert ui_state.load(store, "last") == 19
    assert threads[0].startswith("writes")


@pytest.mark.parametrize(
    ("error", "title", "text"),
    [
        (FinetuneError("Bad [/]\x1b[31m.", title="Oh \x07", hint="Do that."), "Oh ␇", "Bad [/]␛[31m.\nDo that."),
        (ValueError("[x"), "Something went wrong", "ValueError: [x\nWhile saving."),
    ],
)
async def test_an_error_in_a_write_becomes_a_toast_and_goes_into_the_log(
    app: FinetuneApp, home: Home, error: Exception, title: str, text: str
) -> None:
    def fail(_: Store) -> None:
        raise error

    async with app.run_test() as pilot:
        app.write(fail, doing="saving")
        await pilot.pause(0.2)
        toast = next(note for note in app._notifications if note.title == title)
        assert toast.message.startswith(text)
        assert toast.severity == "error" and not toast.markup
    assert "saving: " in (home.logs / "app.log").read_text(encoding="utf-8")
    assert "\x1b" not in (home.logs / "app.log").read_text(encoding="utf-8")


async def test_the_theme_is_remembered(new_app: Callable[[], FinetuneApp]) -> None:
    async with new_app().run_test() as pilot:
        pilot.app.theme = "textual-light"
        await pilot.pause(0.1)
    async with new_app().run_test() as pilot:
        assert pilot.app.theme == "textual-light"


async def test_keys_can_be_given_to_bindings_by_a_file(new_app: Callable[[], FinetuneApp], home: Home) -> None:
    (home.root / "keymap.toml").write_text('"app.review" = "F"\n[list]\nnext = "n"\n', encoding="utf-8")
    assert load_keymap(home.root / "keymap.toml") == {"app.review": "F", "list.next": "n"}
    async with new_app().run_test() as pilot:
        await pilot.press("F")
        await pilot.pause(0.1)
        assert pilot.app.current_mode == "review"


def test_a_fault_in_the_keymap_names_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "keymap.toml"
    path.write_text('"review.good" = 3\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"keymap\.toml: review\.good"):
        load_keymap(path)


def test_a_folder_that_is_no_home_is_refused_before_the_terminal_is_taken(home: Home) -> None:
    home.store.write_bytes(b"this is not a database, and it is long enough to be looked at" * 20)
    with pytest.raises(StoreError):
        FinetuneApp(home)


@pytest.mark.parametrize(("keys", "answer"), [("y", True), ("n", False), ("escape", False), ("enter", False)])
async def test_a_dangerous_question_is_answered_by_a_key_and_enter_means_no(
    app: FinetuneApp, keys: str, answer: bool
) -> None:
    answers: list[bool | None] = []
    async with app.run_test() as pilot:
        app.push_screen(ConfirmScreen("Roll back [/]?", "It [b]serves[/b].", "Roll back", danger=True), answers.append)
        await pilot.pause()
        await pilot.press(keys)
        await pilot.pause()
    assert answers == [answer]


async def test_one_change_of_the_store_is_told_once(app: FinetuneApp, store: Store) -> None:
    told: list[StoreChanged] = []

    def hook(message: Message) -> None:
        if isinstance(message, StoreChanged) and message not in told:
            told.append(message)

    async with app.run_test(message_hook=hook) as pilot:
        await pilot.pause(1.0)
        told.clear()
        ui_state.save(store, "anything", 1)
        await pilot.pause(1.5)
    # Once to the app, once from there to the screen in front.
    assert len(told) == 2
