"""Which keys exist: every class of the app with bindings of its own, found by importing all of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen

import tui.app
import tui.screens
import tui.widgets


@dataclass(frozen=True, slots=True)
class Owner:
    """A class and its keys by binding id, comma-separated. `is_screen` for one that a number key opens: dialogues
    have a way back of their own and may use the app's keys for it."""

    name: str
    keys: dict[str, str]
    is_screen: bool
    is_app: bool


def owners() -> list[Owner]:
    """Every class of ours with bindings that have an id, by name. Takes some 0.3 s the first time."""
    found = []
    for node in node_classes():
        keys: dict[str, str] = {}
        for binding in bindings(node):
            if binding.id:
                keys[binding.id] = f"{keys[binding.id]},{binding.key}" if binding.id in keys else binding.key
        if keys:
            screen = issubclass(node, Screen) and not issubclass(node, ModalScreen)
            found.append(Owner(node.__name__, keys, screen, issubclass(node, App)))
    return found


def node_classes() -> list[type[DOMNode]]:
    """Every class of the app, its screens and its widgets, by name."""
    for package in (tui.screens, tui.widgets):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    ours = {node for node in _below(DOMNode) if node.__module__.startswith("tui.")}
    return sorted(ours, key=lambda node: (node.__name__, node.__module__))


def bindings(node: type[DOMNode]) -> Iterator[Binding]:
    """All bindings of a class, those that it inherits from classes of ours too, one for each key."""
    for owner in node.__mro__:
        if owner.__module__.startswith("tui."):
            yield from Binding.make_bindings(owner.__dict__.get("BINDINGS", ()))
        if not owner.__dict__.get("_inherit_bindings", True):
            return


def _below(node: type[Any]) -> Iterator[type[Any]]:
    for child in node.__subclasses__():
        yield child
        yield from _below(child)
