from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pilot_kit import settle, until
from textual.message import Message
from textual.screen import ModalScreen

from core.errors import FinetuneError, StoreError
from core.paths import Home
from storage import datasets, runs, ui_state
from storage.db import Store
from tui.app import FinetuneApp
from tui.messages import StoreChanged
from tui.screens.confirm import ConfirmScreen
from tui.start import app_home
from tui.tail import POLL_SECONDS

HEAVY = {"torch", "transformers", "peft", "llama_cpp", "gguf", "scipy", "numpy", "rapidfuzz"}


def test_starting_the_app_imports_nothing_heavy(root: Path) -> None:
    code = "import tui.app, tui.screens.dashboard, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root)
    assert not HEAVY & set(json.loads(done.stdout))


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


async def test_leaving_while_the_app_works_asks_and_no_stays(app: FinetuneApp) -> None:
    done = threading.Event()
    async with app.run_test() as pilot:
        app.run_worker(lambda: done.wait(60.0), thread=True, group="work", description="generating answers [/]")
        await pilot.press("q")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen)
        assert "generating answers [/]" in "".join(str(part.render()) for part in app.screen.query("Static"))
        await pilot.press("n")
        await pilot.pause()
        assert not isinstance(app.screen, ConfirmScreen) and app.is_running
        await pilot.press("q", "y")
        await pilot.pause()
        assert app._exit
        done.set()


async def test_work_that_ends_at_once_is_not_asked_about(app: FinetuneApp) -> None:
    async with app.run_test() as pilot:
        app.run_worker(lambda: time.sleep(0.1), thread=True, group="work", description="reading")
        app.write(lambda _: time.sleep(0.1), doing="saving")
        await pilot.press("q")
        assert app._exit


async def test_ctrl_c_says_how_to_leave_and_leaves_when_repeated(app: FinetuneApp) -> None:
    async with app.run_test() as pilot:
        await pilot.press("question_mark", "ctrl+c")
        assert any("Press q to leave" in note.message for note in app._notifications) and not app._exit
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app._exit)


async def test_y_copies_what_a_screen_has_in_front_without_what_a_terminal_obeys(
    app: FinetuneApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app.run_test() as pilot:
        await pilot.press("y")
        assert app.clipboard == "" and "nothing here to copy" in app.session.entries[-1].message
        monkeypatch.setattr(type(app.front), "copyable", lambda _: "a\tb\x1b[31m\u200b\ud800")
        await pilot.press("y")
        assert app.clipboard == "a\tb␛[31m\u200b‹U+D800›"
        assert app.session.entries[-1].message == "Copied 10 characters."


async def test_a_dialogue_gives_its_own_text_to_copy(app: FinetuneApp) -> None:
    class Answer(ModalScreen[None]):
        def copyable(self) -> str:
            return "the answer"

    async with app.run_test() as pilot:
        await app.push_screen(Answer())
        await pilot.press("y")
        assert app.clipboard == "the answer"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], (True, None)),
        (["--home", "x"], (True, Path("x"))),
        (["--home=x"], (True, Path("x"))),
        (["--home"], (False, None)),
        (["--home", "--json"], (False, None)),
        (["stats"], (False, None)),
        (["--home", "x", "stats"], (False, None)),
        (["--version"], (False, None)),
    ],
)
def test_only_the_app_itself_starts_without_the_command_line(
    arguments: list[str], wanted: tuple[bool, Path | None]
) -> None:
    assert app_home(arguments) == wanted


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
        (
            FinetuneError("Bad [/]\x1b[31m.", title="Oh \x07", hint="Do that."),
            "Oh ␇",
            "Bad [/]␛[31m.\nWhile saving. Do that.",
        ),
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
        await until(pilot, lambda: any(note.title == title for note in app._notifications))
        toast = next(note for note in app._notifications if note.title == title)
        assert toast.message.startswith(text)
        assert toast.severity == "error" and not toast.markup
        assert "While saving." in toast.message
    assert "saving: " in (home.logs / "app.log").read_text(encoding="utf-8")
    assert "\x1b" not in (home.logs / "app.log").read_text(encoding="utf-8")


async def test_the_theme_is_remembered(new_app: Callable[[], FinetuneApp]) -> None:
    async with new_app().run_test() as pilot:
        pilot.app.theme = "textual-light"
        await settle(pilot)
    async with new_app().run_test() as pilot:
        assert pilot.app.theme == "textual-light"


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
        await settle(pilot)
        await pilot.pause(3 * POLL_SECONDS)
        told.clear()
        ui_state.save(store, "anything", 1)
        await until(pilot, lambda: told)
        await pilot.pause(3 * POLL_SECONDS)
    # Once to the app, once from there to the screen in front.
    assert len(told) == 2
