"""The playground by its keys: asked, answered, judged, compared, taken back, and found again after a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pilot_kit import settle, until
from play_kit import GOOD, PROMPT, FakeModels, at_once, found
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input, Static

from core.paths import Home
from storage import comparisons, events, pairs
from storage.db import Store
from storage.rows import EventFilter, EventRow
from tui.app import FinetuneApp
from tui.screens.edit import EditScreen
from tui.screens.play_options import PlayOptionsScreen
from tui.screens.play_pick import PickScreen
from tui.screens.playground import PlaygroundScreen
from tui.tabs import key_of
from tui.widgets.answer_pane import AnswerPane
from tui.widgets.empty import Empty
from tui.widgets.prompt_box import PromptBox


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> FakeModels:
    fake = FakeModels(at_once)
    monkeypatch.setattr("tui.screens.play_asking.Desk", fake.desk)
    monkeypatch.setattr("core.playground.choices.find", lambda home, name: found(name))
    return fake


@asynccontextmanager
async def opened(app: FinetuneApp, *, size: tuple[int, int] = (120, 40)) -> Any:
    """The app with the playground in front, once it knows its models."""
    async with app.run_test(size=size) as pilot:
        await pilot.press(key_of("playground"))
        await until(pilot, lambda: isinstance(app.screen, PlaygroundScreen) and "demo" in head(app))
        yield pilot


def screen(app: FinetuneApp) -> PlaygroundScreen:
    front = app.front
    assert isinstance(front, PlaygroundScreen)
    return front


def head(app: FinetuneApp) -> str:
    return str(screen(app).query_one("#head", Static).render())


def note(app: FinetuneApp) -> str:
    return str(screen(app).query_one("#note", Static).render())


def shown(app: FinetuneApp, side: str = "left") -> str:
    return "\n".join(str(one.render()) for one in screen(app).query_one(f"#{side}").query(Static))


def titles(app: FinetuneApp) -> list[str]:
    return [str(pane.border_title) for pane in screen(app).query(AnswerPane)]


def stored(store: Store) -> list[EventRow]:
    return list(events.iter_events(store, EventFilter()))


def choose(app: FinetuneApp, **settings: Any) -> None:
    """As a person's choices leave the settings."""
    from dataclasses import replace

    own = screen(app)._own
    own.settings = replace(own.settings, **settings)


async def ask(pilot: Pilot[None], app: FinetuneApp, prompt: str = PROMPT) -> None:
    """Write and send, then wait for the answers and what the validator says of them."""
    await pilot.press("enter")
    screen(app).box.put(prompt)
    await pilot.press("ctrl+s")
    await answered(pilot, app)


async def answered(pilot: Pilot[None], app: FinetuneApp) -> None:
    takes = screen(app).session.takes
    await until(pilot, lambda: takes and all(not one.running for one in takes.values()))
    await until(pilot, lambda: all(one.validation is not None for one in takes.values() if one.usable))
    await pilot.pause(0.1)


async def test_a_prompt_is_answered_and_nothing_is_recorded(app: FinetuneApp, models: FakeModels, store: Store) -> None:
    async with opened(app) as pilot:
        assert screen(app).query_one(Empty).display
        await ask(pilot, app)
        assert "shop ||--o{ sale" in shown(app)
        assert "Findings" in shown(app)
        assert "score" in str(screen(app).query_one("#left").border_subtitle)
        assert isinstance(app.focused, AnswerPane)
    assert stored(store) == []
    assert models.closed == 1


async def test_letters_typed_after_enter_land_in_the_box(app: FinetuneApp, models: FakeModels) -> None:
    async with opened(app) as pilot:
        await pilot.press("enter", "g", "8", "enter", "n")
        assert screen(app).box.text == "g8\nn"
        await pilot.press("escape")
        assert not isinstance(app.focused, PromptBox)
        assert screen(app).box.text == "g8\nn"


@pytest.mark.parametrize("key", ["ctrl+s", "f5", "ctrl+j"])
async def test_what_sends(key: str, app: FinetuneApp, models: FakeModels) -> None:
    async with opened(app) as pilot:
        await pilot.press("enter", "h", "i", key)
        await answered(pilot, app)
        assert [turns[-1].content for _, turns, _ in models.asked] == ["hi"]


async def test_a_burst_of_keys_is_sent_whole(app: FinetuneApp, models: FakeModels) -> None:
    async with opened(app) as pilot:
        for key in ("i", *"make it", "ctrl+s"):
            name = "space" if key == " " else key
            app.post_message(Key(name, key if len(key) == 1 else None))
        await until(pilot, lambda: models.asked)
        await answered(pilot, app)
        assert [turns[-1].content for _, turns, _ in models.asked] == ["make it"]


async def test_an_empty_prompt_is_not_sent(app: FinetuneApp, models: FakeModels) -> None:
    async with opened(app) as pilot:
        await pilot.press("ctrl+s")
        assert "Write a prompt first" in note(app)
        assert models.asked == []


@pytest.mark.parametrize(("key", "verdict"), [("g", "good"), ("b", "bad")])
async def test_a_verdict_records_the_answer_and_is_taken_back(
    key: str, verdict: str, app: FinetuneApp, models: FakeModels, store: Store
) -> None:
    async with opened(app) as pilot:
        await ask(pilot, app)
        await pilot.press(key)
        await until(pilot, lambda: "#1" in note(app))
        (event,) = stored(store)
        assert (event.verdict, event.source, event.category, event.model) == (verdict, "playground", "erd", "demo")
        assert "#1" in titles(app)[0]
        await pilot.press("u")
        await until(pilot, lambda: "taken back" in note(app))
        assert stored(store)[0].verdict is None


async def test_a_correction(app: FinetuneApp, models: FakeModels, store: Store) -> None:
    async with opened(app) as pilot:
        await ask(pilot, app)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, EditScreen))
        assert "#" not in str(app.screen.query_one("#prompt").border_title)
        await pilot.press("X", "escape")  # a draft
        assert stored(store) == []
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, EditScreen))
        await pilot.press("Y", "ctrl+s")
        await until(pilot, lambda: "corrected on #1" in note(app))
        (event,) = stored(store)
        assert event.verdict == "correct"
        assert event.correction is not None
        assert "X" in event.correction
        assert "Y" in event.correction


async def test_two_answers_are_compared(app: FinetuneApp, models: FakeModels, store: Store) -> None:
    async with opened(app) as pilot:
        choose(app, b="ollama:other")
        await ask(pilot, app)
        assert "demo" in titles(app)[0]
        assert "ollama:other" in titles(app)[1]
        await pilot.press("]")
        await until(pilot, lambda: "preference pair" in note(app))
        (pair,) = pairs.list_pairs(store, "erd")
        assert "ollama:other" in pair.chosen
        assert {event.source for event in stored(store)} == {"playground"}
        assert "better" in titles(app)[1]
        await pilot.press("u")
        await until(pilot, lambda: "taken back" in note(app))
        assert pairs.list_pairs(store, "erd") == []
        assert comparisons.in_force(store, "erd") == []


@pytest.mark.parametrize("swapped", [False, True])
async def test_blind_shows_no_name_before_the_vote(
    swapped: bool, app: FinetuneApp, models: FakeModels, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.play.session.random.random", lambda: 0.1 if swapped else 0.9)
    async with opened(app) as pilot:
        choose(app, b="ollama:other")
        await pilot.press("B")
        await ask(pilot, app)
        assert all("hidden" in title and "demo" not in title for title in titles(app))
        assert "tok/s" not in str(screen(app).query_one("#left").border_subtitle)
        assert "score" not in str(screen(app).query_one("#right").border_subtitle)
        await pilot.press("[")
        await until(pilot, lambda: "preference pair" in note(app))
        left = "ollama:other" if swapped else "demo"
        assert left in titles(app)[0]
        (pair,) = pairs.list_pairs(store, "erd")
        assert f"%% ollama:{left} " in pair.chosen
        assert comparisons.in_force(store, "erd")[0].swapped is swapped


async def test_one_model_fails_in_its_pane_and_the_other_answers(
    app: FinetuneApp, models: FakeModels, store: Store
) -> None:
    async with opened(app) as pilot:
        choose(app, b="ollama:broken")
        await ask(pilot, app)
        assert "The model crashed." in shown(app, "right")
        assert "Choose another model." in shown(app, "right")
        assert "shop" in shown(app, "left")
        await pilot.press("]", "g")
        await until(pilot, lambda: "good on #1" in note(app))
        assert len(stored(store)) == 1


async def test_stopped_in_the_middle(app: FinetuneApp, models: FakeModels) -> None:
    gate = threading.Event()

    def slow(model: str, seed: int) -> Iterator[str]:
        yield "begun "
        gate.wait(60.0)
        yield "late"

    models.script = slow
    async with opened(app) as pilot:
        await pilot.press("enter", "h", "ctrl+s")
        await until(pilot, lambda: "begun" in shown(app))
        assert "answering" in str(screen(app).query_one("#left").border_subtitle)
        await pilot.press("escape")
        await until(pilot, lambda: "stopped" in str(screen(app).query_one("#left").border_subtitle))
        gate.set()
        await pilot.press("r")
        await answered(pilot, app)
        assert "begun late" in shown(app)


async def test_regenerated_then_judged(app: FinetuneApp, models: FakeModels, store: Store) -> None:
    async with opened(app) as pilot:
        choose(app, seed=5)
        await ask(pilot, app)
        await pilot.press("r")
        await answered(pilot, app)
        assert [sampling.seed == 5 for _, _, sampling in models.asked] == [True, False]
        await pilot.press("g")
        await until(pilot, lambda: "took the place" in note(app))
        old, new = sorted(stored(store), key=lambda event: event.id)
        assert old.metadata["regenerated"] is True
        assert (old.verdict, new.verdict) == (None, "good")


async def test_kept_and_removed(app: FinetuneApp, models: FakeModels, store: Store) -> None:
    async with opened(app) as pilot:
        await ask(pilot, app)
        await pilot.press("s")
        await until(pilot, lambda: "kept as #1" in note(app))
        assert stored(store)[0].verdict is None
        await pilot.press("u")
        await until(pilot, lambda: "taken back" in note(app))
        assert stored(store) == []


async def test_what_is_copied_is_marked(app: FinetuneApp, models: FakeModels, store: Store) -> None:
    async with opened(app) as pilot:
        await ask(pilot, app)
        text = screen(app).copyable()
        assert text.startswith(GOOD)
        await pilot.press("s")
        await until(pilot, lambda: "kept as #1" in note(app))
        assert stored(store)[0].metadata["copied"] is True


async def test_a_follow_up_sends_the_turns_before(app: FinetuneApp, models: FakeModels, store: Store) -> None:
    async with opened(app) as pilot:
        await ask(pilot, app)
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.focused, PromptBox))
        await ask(pilot, app, "And with prices.")
        turns = models.asked[-1][1]
        assert [turn.role for turn in turns][-3:] == ["user", "assistant", "user"]
        await pilot.press("g")
        await until(pilot, lambda: "good on #1" in note(app))
        assert [turn["role"] for turn in stored(store)[0].history] == ["user", "assistant"]
        await pilot.press("n")
        assert screen(app).session.history == ()


async def test_the_choosers(app: FinetuneApp, models: FakeModels) -> None:
    async with opened(app) as pilot:
        await pilot.press("M")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        await pilot.press("j", "enter")
        await until(pilot, lambda: head(app).count("demo") == 2)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, PlayOptionsScreen))
        app.screen.query_one("#temperature", Input).value = "9"
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, PlayOptionsScreen)
        app.screen.query_one("#temperature", Input).value = "1.5"
        app.screen.query_one("#seed", Input).value = "11"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "1.5" in head(app) and "seed 11" in head(app))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        await pilot.press("g", "enter")
        await until(pilot, lambda: isinstance(app.screen, PlaygroundScreen))


async def test_found_again_after_a_restart(new_app: Callable[[], FinetuneApp], models: FakeModels) -> None:
    app = new_app()
    async with opened(app) as pilot:
        choose(app, temperature=0.9, blind=True)
        for prompt in ("first", "second"):
            await ask(pilot, app, prompt)
        await pilot.press("enter")
        screen(app).box.put("a draft")
        await pilot.press("escape", "q")
    app = new_app()
    async with opened(app) as pilot:
        assert "0.9" in head(app)
        assert "blind" in head(app)
        assert screen(app).box.text == "a draft"
        await pilot.press("f3")
        assert screen(app).box.text == "second"
        await pilot.press("enter", "up")
        assert screen(app).box.text == "first"
        await pilot.press("down", "down")
        assert screen(app).box.text == "a draft"


async def test_what_another_screen_asks_for(app: FinetuneApp, models: FakeModels) -> None:
    async with opened(app) as pilot:
        app.open("playground", prompt="From elsewhere", category="erd", version="demo")
        await until(pilot, lambda: screen(app).box.text == "From elsewhere")
        await pilot.press("ctrl+s")
        await answered(pilot, app)
        assert models.asked[-1][0] == "ollama:demo"


async def test_hostile_answers_stay_inert(app: FinetuneApp, models: FakeModels, hostile: list[str]) -> None:
    models.script = lambda model, seed: iter(hostile)
    async with opened(app) as pilot:
        await ask(pilot, app)
        text = shown(app)
        assert not any(bad in text for bad in ("\x1b", "\x9b", "\u202e", "\x07"))
        assert "␛]52" in text
        assert "[bold]x[/bold]" in text


async def test_ten_megabytes_are_shown_in_part_and_told(app: FinetuneApp, models: FakeModels, store: Store) -> None:
    models.script = lambda model, seed: iter(["x" * 1_000_000] * 10)
    async with opened(app) as pilot:
        await ask(pilot, app)
        assert "more characters are not shown" in shown(app)
        assert len(shown(app)) < 100_000
        assert "too_long" in shown(app)
        await pilot.press("g")
        await pilot.pause(0.2)
        assert stored(store) == []
        assert "good" not in titles(app)[0]


async def test_models_go_a_while_after_one_has_left(
    app: FinetuneApp, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.play.idle.IDLE_SECONDS", 0.05)
    async with opened(app) as pilot:
        await ask(pilot, app)
        own = screen(app)
        assert own.desk.loaded
        await pilot.press(key_of("dashboard"))
        await until(pilot, lambda: not own.desk.loaded)
        assert models.closed == 1
        await pilot.press(key_of("playground"))
        await settle(pilot)
        await ask(pilot, app)


async def test_nothing_here_can_be_judged_before_there_is_an_answer(
    app: FinetuneApp, models: FakeModels, home: Home
) -> None:
    async with opened(app) as pilot:
        for action in ("judge", "vote", "correct", "keep", "follow_up", "again"):
            assert screen(app).check_action(action, ()) is False
        await pilot.press("g", "b", "c", "s", "u", "r", "[", "x")
        assert isinstance(app.screen, PlaygroundScreen)
