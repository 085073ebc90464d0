"""Keys as data: what a faulty keymap file costs, and what the right part of it still does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assets import ASSETS
from core.paths import Home
from tui.app import FinetuneApp
from tui.keymap import Keymap, checked, load_keymap, problems

SHIPPED = sorted((ASSETS / "keymaps").glob("*.toml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "keymap.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_is_no_fault(tmp_path: Path) -> None:
    assert load_keymap(tmp_path / "keymap.toml") == Keymap()
    assert problems(tmp_path / "keymap.toml") == []


def test_lines_and_sections_mean_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, '"app.review" = "F"\n[list]\nnext = "n,?"\n')
    assert load_keymap(path) == Keymap({"app.review": "F", "list.next": "n,question_mark"})


@pytest.mark.parametrize("key", ["a", "A", "f5", "ctrl+a", "pagedown", "shift+tab", "alt+x", "slash", "plus", "?", "é"])
def test_keys_that_terminals_send(tmp_path: Path, key: str) -> None:
    assert load_keymap(written(tmp_path, f'"app.log" = "{key}"\n')).problems == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"review.good" = 3', "review.good: the keys must stand in quotes"),
        ('"review.good" = " "', "review.good: the keys must stand in quotes"),
        ('"review.good" = "pgdown"', "did you mean pagedown?"),
        ('"review.good" = "ctrl+enter"', "hardly any terminal"),
        ('"review.good" = "shift+enter"', "hardly any terminal"),
        ('"review.good" = "ctrl+1"', "hardly any terminal"),
        ('"review.good" = "cmd+g"', "never reaches"),
        ('"review.good" = "ctrl+i"', "is tab to a terminal"),
        ('"review.good" = "shift+a"', "write A"),
        ('"review.good" = "strg+a"', "is no key"),
        ('"review.goood" = "z"', "near it: review.good"),
        ('"review.good" = "b"', "b is the key of review.bad already in the same place (ReviewScreen)"),
        ('"review.bad" = "f1,?"', "with it no key opens the help in ReviewScreen"),
        ('"review.bad" = "q"', "with it no key leaves the app in ReviewScreen"),
        ('use = "right"', "there are left-hand, numpad"),
        ('"review.good" = ', "keymap.toml"),
    ],
)
def test_a_faulty_line_is_named_and_left_out(tmp_path: Path, line: str, said: str) -> None:
    found = checked(load_keymap(written(tmp_path, line)))
    assert len(found.problems) == 1 and said in found.problems[0]
    assert found.keys == {}


def test_two_verbs_may_swap_their_keys(tmp_path: Path) -> None:
    path = written(tmp_path, '"review.good" = "b"\n"review.bad" = "g"\n')
    assert checked(load_keymap(path)) == Keymap({"review.good": "b", "review.bad": "g"})


def test_of_a_swap_with_a_faulty_half_nothing_remains(tmp_path: Path) -> None:
    found = checked(load_keymap(written(tmp_path, '"review.good" = "b"\n"review.bad" = "cmd+g"\n')))
    assert found.keys == {}
    assert [text.partition(":")[0] for text in found.problems] == ["review.bad", "review.good"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_keymaps_that_ship_are_right(path: Path, tmp_path: Path) -> None:
    assert problems(path) == []
    used = load_keymap(written(tmp_path, f'use = "{path.stem}"\n"app.log" = "f9"\n'))
    assert used.keys == {**load_keymap(path).keys, "app.log": "f9"}


async def test_the_right_part_of_a_faulty_file_applies_and_the_rest_is_told(
    new_app: Callable[[], FinetuneApp], home: Home
) -> None:
    written(home.root, '"app.review" = "F"\n"app.train" = "cmd+t"\n"app.trian" = "T"\n')
    async with new_app().run_test() as pilot:
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        told = [entry for entry in pilot.app.session.entries if entry.title == "A fault in keymap.toml"]
        toasts = [note for note in pilot.app._notifications if note.title == "2 faults in keymap.toml"]
        assert len(told) == 2 and len(toasts) == 1
        await pilot.press("F")
        await pilot.pause()
        assert pilot.app.current_mode == "review"
