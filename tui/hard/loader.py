"""Keeps the tree of hard negatives: the list is there at once, its patterns when they are found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from core.paths import Home
from storage import hard_tests
from storage.db import open_store
from tui.hard.items import HardList, HardPatterns, read_list, read_patterns
from tui.hard.tree import HardTree
from tui.screens.base import BaseScreen
from tui.widgets.pattern_tree import PatternTree


class HardLoader:
    """Reads for `screen` into `tree`; `shown()` is called when something has changed there, `failed(error)` when the
    list cannot be read. A category that is wanted but has no events gives way to the largest."""

    def __init__(
        self,
        screen: BaseScreen,
        tree: PatternTree,
        shown: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._screen = screen
        self._tree = tree
        self._shown = shown
        self._failed = failed
        self._stamp: tuple[int, ...] = ()
        self._key: int | None = None
        self._kept: set[int] = set()
        self._failing = False
        self._wanted_line: int | None = None
        self.category = ""
        self.loaded = False
        self.patterns_come = False

    def start_at(self, line: int | None) -> None:
        """Put the cursor on a line when there is one."""
        self._wanted_line = line

    def keep(self, *event_ids: int | None) -> None:
        """Go on showing these, whatever becomes of them, until the filter or the category changes."""
        self._kept |= {each for each in event_ids if each is not None and each > 0}

    def keep_none(self) -> None:
        """Show only what the filter lets through."""
        self._kept.clear()

    def open(self, category: str) -> None:
        """Show another category."""
        if category != self.category:
            self.category = category
            self.keep_none()
            self.read(force=True)

    def try_again(self) -> None:
        """Read even though it failed the last time."""
        self._failing = False

    def read(self, *, force: bool) -> None:
        """Read again; without `force` only where something has changed that matters."""
        if self._failing and not force:
            return  # it was told; who wants to try again presses a key
        home, category, stamp = self._screen.home, self.category, () if force else self._stamp

        def work() -> tuple[tuple[int, ...], HardList | None]:
            with open_store(home.store) as store:
                now = (*hard_tests.stamp(store, category), hash((category, _settings(home))))
            return now, None if now == stamp else read_list(home, category)

        self._screen.in_background(
            work,
            group="hard.list",
            description="reading the hard negatives",
            then=self._show_list,
            failed=self._fail,
            pane=None if self.loaded else self._tree,
            in_turn=True,
        )

    def _fail(self, error: BaseException) -> None:
        self._failing = True
        self._failed(error)

    def _show_list(self, read: tuple[tuple[int, ...], HardList | None]) -> None:
        self._failing = False
        self._stamp, found = read
        if found is None:
            return
        tree, before = self._tree.shown, self._tree.shown.found
        self.category, self.loaded = found.category, True
        if found.category != before.category:
            tree = HardTree.of(found, filter=tree.filter, text=tree.text, opened=tree.opened)
        else:
            tree = tree.again(found=found, kept=self._kept)
        self._tree.show_tree(tree, current=self._line(tree))
        if found.key != self._key:
            self._key = found.key
            self._read_patterns(found)
        self._shown()

    def _line(self, tree: HardTree) -> int | None:
        """The line that was asked for, once it is there."""
        if self._wanted_line is not None and self._wanted_line in tree.order:
            line, self._wanted_line = self._wanted_line, None
            return line
        return None

    def _read_patterns(self, found: HardList) -> None:
        self.patterns_come = bool(found.every)
        if not found.every:
            return
        home, kept = self._screen.home, frozenset(self._kept)
        self._screen.in_background(
            lambda: read_patterns(home, found, kept),
            group="hard.patterns",
            description="looking for patterns of failure",
            then=partial(self._show_patterns, found.key),
            failed=self._without_patterns,
            in_turn=True,
        )

    def _without_patterns(self, error: BaseException) -> None:
        """The list stands as it is."""
        self.patterns_come = False
        self._shown()
        self._screen.finetune.report(error, "looking for patterns of failure")

    def _show_patterns(self, key: int, patterns: HardPatterns) -> None:
        if key != self._key:
            return  # others are on their way
        self.patterns_come = False
        before = self._tree.shown
        first = before.patterns is None
        tree = before.again(patterns=patterns)
        branch = tree.branch_of(self._tree.current)
        if first and branch is not None and not any(tree.is_open(each) for each in tree.branches.values()):
            # Who has moved already stays with what is being read; else the worst pattern comes first.
            branch = branch if self._tree.cursor else next(iter(tree.branches.values()))
            tree = tree.turned(branch, opened=True)
        current = None if self._tree.cursor or not first else next(iter(tree.order[1:2]), None)
        self._tree.show_tree(tree, current=current)
        self._shown()


def _settings(home: Home) -> bytes:
    """What the settings of the categories follow from."""
    return home.config.read_bytes() if home.config.exists() else b""
