"""Answers as they come: stopped, broken, flooded and let go, each arm for itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from play_kit import GOOD, PROMPT, FakeModels, at_once

from core.backends.backend import Message, Sampling
from core.errors import BackendError
from core.playground.desk import Arm, Desk
from core.playground.take import Question, Take


def a_take(*, prompt: str = PROMPT, system: str = "", sent: str = "", seed: int = 0) -> Take:
    return Take(Question("erd", prompt, system, sent), "m", Sampling(seed=seed), "g")


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it never came")


def ask(desk: Desk, arm: Arm, take: Take, name: str = "ollama:m", *, beside: bool = False) -> None:
    desk.start(arm, take, lambda: name, beside=beside)


def test_an_answer_comes_with_its_figures() -> None:
    models, take = FakeModels(at_once), a_take(system="Be brief.", sent="Of the category.", seed=7)
    ask(models.desk(), "a", take)
    until(lambda: not take.running)
    assert take.state == "done"
    assert take.text == f"{GOOD}%% ollama:m 7\n"
    assert take.figures.tokens == 2
    assert take.figures.speed == 4.0  # two tokens in the half second that the model's side tells
    assert models.asked[0][1] == [Message("system", "Be brief."), Message("user", PROMPT)]
    assert take.metadata["finish_reason"] == "stop"


def test_the_system_prompt_of_the_category_is_sent_where_there_is_no_own() -> None:
    turns = Question("erd", PROMPT, "", "Usual.", ({"role": "user", "content": "x"},)).messages
    assert turns == [Message("system", "Usual."), Message("user", "x"), Message("user", PROMPT)]


def test_one_arm_fails_and_the_other_goes_on() -> None:
    models = FakeModels(at_once)
    desk, bad, good = models.desk(), a_take(), a_take()
    ask(desk, "a", bad, "ollama:broken", beside=True)
    ask(desk, "b", good, beside=True)
    until(lambda: not desk.busy)
    assert (bad.state, good.state) == ("failed", "done")
    assert isinstance(bad.error, BackendError)
    assert not bad.usable


def test_a_model_that_is_not_found_is_told() -> None:
    def find() -> str:
        raise BackendError("There is none.")

    desk, take = FakeModels(at_once).desk(), a_take()
    desk.start("a", take, find, beside=False)
    until(lambda: not take.running)
    assert str(take.error) == "There is none."


class TestStopped:
    def test_what_has_come_stays_and_the_next_answer_is_whole(self) -> None:
        gate = threading.Event()

        def script(model: str, seed: int) -> Iterator[str]:
            yield "begun "
            gate.wait(10.0)
            yield "too late"

        models = FakeModels(script)
        desk, take = models.desk(), a_take()
        ask(desk, "a", take)
        until(lambda: take.text == "begun ")
        desk.stop()
        assert take.state == "stopped"
        assert not desk.busy
        gate.set()
        until(lambda: threading.active_count() == 1 or all("playground" not in t.name for t in threading.enumerate()))
        assert take.text == "begun "
        assert take.metadata["stopped"] is True
        assert take.metadata["finish_reason"] == "length"  # as what is cut off it never teaches
        again = a_take()
        ask(desk, "a", again)
        until(lambda: not again.running)
        assert again.text == "begun too late"

    def test_before_the_model_is_found_it_is_not_asked(self) -> None:
        gate, models, take = threading.Event(), FakeModels(at_once), a_take()
        desk = models.desk()

        def find() -> str:
            gate.wait(10.0)
            return "ollama:m"

        desk.start("a", take, find, beside=False)
        desk.close()
        gate.set()
        until(lambda: all("playground" not in thread.name for thread in threading.enumerate()))
        assert models.asked == []
        assert not desk.loaded

    def test_asking_anew_gives_up_what_ran(self) -> None:
        gate = threading.Event()

        def script(model: str, seed: int) -> Iterator[str]:
            yield str(seed)
            gate.wait(0.0 if seed else 10.0)

        desk, first, second = FakeModels(script).desk(), a_take(), a_take(seed=1)
        ask(desk, "a", first)
        until(lambda: first.text == "0")
        ask(desk, "a", second)
        until(lambda: not second.running)
        gate.set()
        assert (first.state, second.state) == ("stopped", "done")


def test_models_stay_until_the_desk_is_closed_and_come_back_after() -> None:
    models = FakeModels(at_once)
    desk = models.desk()
    for _ in range(2):
        take = a_take()
        ask(desk, "a", take)
        until(lambda take=take: not take.running)  # type: ignore[misc]
    assert models.closed == 0
    assert desk.loaded
    desk.close()
    desk.close()
    assert models.closed == 1
    take = a_take()
    ask(desk, "a", take)
    until(lambda: not take.running)
    assert take.state == "done"


def test_an_arm_that_has_to_share_the_processor_is_opened_anew(tmp_path: object) -> None:
    opened: list[int | None] = []
    models = FakeModels(at_once)

    def open_one(threads: int | None) -> FakeModels:
        opened.append(threads)
        return models

    from pathlib import Path

    large = Path(str(tmp_path)) / "large.gguf"
    with large.open("wb") as file:
        file.truncate(100 << 20)  # sparse
    desk = Desk(open_one)
    for beside in (False, True, True):
        take = a_take()
        ask(desk, "a", take, str(large), beside=beside)
        until(lambda take=take: not take.running)  # type: ignore[misc]
    assert len(opened) == 2
    assert opened[0] is None
    assert opened[1] is not None
    assert opened[1] >= 1
