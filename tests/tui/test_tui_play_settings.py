"""What the playground remembers: sound values only, and the prompts in their order."""

from __future__ import annotations

from typing import Any

import pytest

from tui.play.settings import PlaySettings, Prompts, Remembered, unnamed

OWN = PlaySettings("erd", "v1", "v0", "Be brief.", 1.5, 64, 7, blind=True)


def test_settings_come_back_as_they_were() -> None:
    assert PlaySettings().with_state(OWN.to_state()) == OWN


@pytest.mark.parametrize(
    "state",
    [
        {"temperature": "hot"}, {"temperature": float("nan")}, {"temperature": -1}, {"max_tokens": 0},
        {"max_tokens": 1.5}, {"seed": 2**32}, {"seed": True}, {"blind": 1}, {"system": None}, {"unknown": 1},
    ],
)  # fmt: skip
def test_values_that_are_none_are_passed_over(state: dict[str, Any]) -> None:
    assert OWN.with_state(state) == OWN


def test_a_seed_that_is_set_holds_until_another_is_wanted() -> None:
    assert OWN.sampling().seed == 7
    assert {OWN.sampling(fresh=True).seed for _ in range(5)} != {7}
    drawn = {PlaySettings().sampling().seed for _ in range(20)}
    assert len(drawn) > 10


def test_models_of_another_category_are_forgotten_but_not_those_of_ollama() -> None:
    kept = unnamed(PlaySettings(a="v1", b="ollama:llama3.2:3b"), ["demo"])
    assert (kept.a, kept.b) == ("", "ollama:llama3.2:3b")


class TestPrompts:
    def test_back_and_forth_ends_at_what_was_being_written(self) -> None:
        prompts = Prompts()
        for text in ("one", "two"):
            prompts.add(text)
        assert [prompts.older("draft"), prompts.older("two"), prompts.older("one")] == ["two", "one", None]
        assert [prompts.newer(), prompts.newer(), prompts.newer()] == ["two", "draft", None]

    def test_what_was_sent_last_and_still_stands_there_is_not_offered_again(self) -> None:
        prompts = Prompts()
        for text in ("one", "two"):
            prompts.add(text)
        assert prompts.older("two") == "one"

    def test_fifty_are_kept_and_the_same_one_moves_to_the_end(self) -> None:
        prompts = Prompts()
        for number in range(60):
            prompts.add(str(number))
        prompts.add("30")
        prompts.add("x" * 30_000)
        assert len(prompts.sent) == 50
        assert prompts.sent[-1] == "30"
        assert prompts.sent[0] == "10"

    @pytest.mark.parametrize("broken", [None, 3, {"a": 1}, [1, None]])
    def test_what_is_no_list_of_prompts_is_passed_over(self, broken: Any) -> None:
        prompts = Prompts()
        prompts.restore(broken)
        assert prompts.sent == ()


def test_what_another_screen_asks_for() -> None:
    own = Remembered(PlaySettings(), Prompts())
    assert own.take_asked({"version": "v1", "prompt": "hi"}, lambda name: "er") == "hi"
    assert (own.settings.a, own.settings.category) == ("v1", "er")
    assert own.take_asked({"version": 3, "prompt": None}, lambda name: "x") == ""
    assert own.settings.a == "v1"
