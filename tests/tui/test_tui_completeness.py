"""What every screen and dialogue owes: keys with ids, verbs and tooltips, a help page that tells them, remapping."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

import pytest
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen

from assets import ASSETS
from tui.app import FinetuneApp
from tui.keymap import _fault, _parts
from tui.known_keys import bindings, node_classes
from tui.screens.base import BaseScreen
from tui.screens.help import display_key
from tui.tabs import TABS

CLASSES = node_classes()
WITH_KEYS = [node for node in CLASSES if list(bindings(node))]
SCREENS = [node for node in CLASSES if issubclass(node, Screen) and list(bindings(node))]
FULL = [node for node in SCREENS if node.__name__ in {tab.where.partition(":")[2] for tab in TABS}]
ALIKE = ("list", "scroll", "tree")
"""Areas of movements that mean the same in every list."""


def name(node: type[DOMNode]) -> str:
    return node.__name__


def own(node: type[DOMNode]) -> list[Binding]:
    """Each binding once, whatever the number of its keys."""
    return list({(binding.id, binding.action): binding for binding in bindings(node)}.values())


def test_every_tab_has_its_screen() -> None:
    modes = {node.__name__: node.MODE for node in FULL if issubclass(node, BaseScreen)}
    assert modes == {tab.where.partition(":")[2]: tab.mode for tab in TABS}


@pytest.mark.parametrize("node", WITH_KEYS, ids=name)
def test_every_key_has_an_id_a_verb_and_a_tooltip(node: type[DOMNode]) -> None:
    for binding in own(node):
        assert binding.id and re.fullmatch(r"[a-z_]+\.[a-z_]+", binding.id), binding
        assert binding.description and binding.tooltip, binding
        assert binding.description[0].isupper() and len(binding.description) <= 18, binding


@pytest.mark.parametrize("node", WITH_KEYS, ids=name)
def test_every_key_is_one_that_terminals_send(node: type[DOMNode]) -> None:
    said = {binding.key: _fault(_parts(binding.key)[0]) for binding in bindings(node)}
    # F-keys and such with a second key beside them may be of the kind that some terminals do not send.
    assert not {key: fault for key, fault in said.items() if fault}


def test_ids_are_unique_but_for_movements() -> None:
    where: dict[str, set[str]] = defaultdict(set)
    for node in CLASSES:
        for binding in Binding.make_bindings(node.__dict__.get("BINDINGS", ())):
            where[binding.id].add(name(node))
    twice = {key: found for key, found in where.items() if len(found) > 1 and key.partition(".")[0] not in ALIKE}
    assert not twice


@pytest.mark.parametrize("node", WITH_KEYS, ids=name)
def test_one_key_does_one_thing_and_one_id_names_one_verb(node: type[DOMNode]) -> None:
    keys, verbs = defaultdict(set), defaultdict(set)
    for binding in bindings(node):
        keys[binding.key].add(binding.id)
        verbs[binding.id].add(binding.action)
    # Several verbs on one key are right only where `check_action` leaves one of them at a time.
    assert not {key: ids for key, ids in keys.items() if len(ids) > 1 and "check_action" not in vars(node)}
    assert not {key: actions for key, actions in verbs.items() if len(actions) > 1}


@pytest.mark.parametrize("node", SCREENS, ids=name)
def test_at_most_six_keys_are_shown_where_none_is_ever_hidden(node: type[DOMNode]) -> None:
    if node.check_action is DOMNode.check_action:  # else some of them are hidden at any time
        shown = {binding.id for binding in bindings(node) if binding.show}
        assert len(shown) <= 6, sorted(shown)


@pytest.mark.parametrize("node", FULL, ids=name)
def test_the_help_page_is_short_and_tells_every_shown_key(node: type[BaseScreen]) -> None:
    page = ASSETS / "help" / f"{node.HELP}.md"
    assert page.is_file()
    text = page.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert len(lines) <= 25 and lines[0].startswith("# ")
    told = set(re.findall(r"`([^`]+)`", text)) | set(re.findall(r"`[^`]+`", text))
    untold = [
        binding.id
        for binding in own(node)
        if binding.show and not told & {spelled for keys in _all_keys(node, binding.id) for spelled in _spelled(keys)}
    ]
    assert not untold


@pytest.mark.parametrize("node", [node for node in SCREENS if issubclass(node, ModalScreen)], ids=name)
def test_the_help_page_of_a_dialogue_exists_where_it_names_one(node: type[DOMNode]) -> None:
    page = getattr(node, "HELP", None)
    if page:
        text = (ASSETS / "help" / f"{page}.md").read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 25 and text.startswith("# ")


@pytest.mark.parametrize("node", [node for node in SCREENS if issubclass(node, ModalScreen)], ids=name)
def test_escape_leaves_every_dialogue(node: type[DOMNode]) -> None:
    assert "escape" in {binding.key for binding in bindings(node)}


@pytest.mark.parametrize("mode", [tab.mode for tab in TABS])
async def test_a_screen_shows_six_keys_and_all_can_be_others(mode: str, new_app: Callable[[], FinetuneApp]) -> None:
    async with new_app().run_test(size=(80, 24)) as pilot:
        pilot.app.open(mode)
        await pilot.pause()
        front = pilot.app.front
        assert front is not None and mode == front.MODE
        shown = {active.binding.id for active in front.active_bindings.values() if active.binding.show}
        assert len(shown) <= 6
        ids = {binding.id for binding in bindings(type(front))}
        pilot.app.set_keymap({one: f"f{number}" for number, one in enumerate(sorted(ids), start=30)})
        await pilot.pause()
        found = next(keys for node, keys in front._binding_chain if node is front)
        for number, one in enumerate(sorted(ids), start=30):
            keys = {binding.key for _, binding in found if binding.id == one}
            assert keys == {f"f{number}"}, one


async def test_a_remapped_key_does_what_the_other_did(new_app: Callable[[], FinetuneApp]) -> None:
    async with new_app().run_test(size=(80, 24)) as pilot:
        pilot.app.set_keymap({"app.log": "f9", "log.close": "f10"})
        await pilot.press("ctrl+l")
        assert not pilot.app.screen.is_modal
        await pilot.press("f9")
        assert pilot.app.screen.is_modal
        await pilot.press("escape")
        assert pilot.app.screen.is_modal
        await pilot.press("f10")
        assert not pilot.app.screen.is_modal


def _all_keys(node: type[DOMNode], wanted: str | None) -> list[str]:
    return [binding.key for binding in bindings(node) if binding.id == wanted]


def _spelled(key: str) -> set[str]:
    """The ways in which a help page may write a key."""
    shown = display_key(key)
    return {key, shown, shown.upper(), key.replace("_", " ")}
