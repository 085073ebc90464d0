"""The tree of the hard negatives as a list of lines: which stand in it, and what each one says. No widget, no store."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from core.select.hard.hard_negatives import TO_DO, HardNegative
from tui.hard.items import HardList, HardPatterns
from tui.hard.words import mark_of

if TYPE_CHECKING:
    from core.select.hard.patterns import Pattern

_FEW: Final = 100

FILTERS: Final[Mapping[str, Callable[[HardNegative], bool]]] = {
    "to do": lambda one: one.state in TO_DO,
    "to correct": lambda one: one.state in TO_DO and one.own_failure and not (one.corrected or one.held_out),
    "corrected": lambda one: one.state in TO_DO and one.corrected,
    "failed again": lambda one: one.state in TO_DO and one.failed > 0,
    "solved": lambda one: one.state == "solved",
    "all": lambda _: True,
}
"""What each filter lets through; `failed again` are those that a re-test failed, come back or never solved."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A pattern with those of its members that are shown, worst first."""

    line: int
    pattern: Pattern
    members: tuple[HardNegative, ...]

    @property
    def corrected(self) -> int:
        """How many of those shown have a correction."""
        return sum(each.corrected for each in self.members)

    @property
    def failed_again(self) -> int:
        """How many of those shown came back, or failed a re-test."""
        return sum(mark_of(each) in ("came back", "failed again") for each in self.members)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One hard negative; `prompt` is the beginning of what was asked."""

    negative: HardNegative
    prompt: str
    pinned: bool
    indented: bool


@dataclass(frozen=True, slots=True)
class HardTree:
    """Lines by id: a branch has a negative id, a leaf that of its event. Without patterns it is the list of leaves.

    `kept` are shown whatever the filter says: what somebody has just done something with stays under their eyes.
    `before` are the patterns that were open before a search.
    """

    found: HardList
    patterns: HardPatterns | None = None
    filter: str = "to do"
    text: str = ""
    opened: frozenset[str] = frozenset()
    kept: frozenset[int] = frozenset()
    before: frozenset[str] = frozenset()
    branches: Mapping[int, Branch] = field(default_factory=dict)
    leaves: Mapping[int, HardNegative] = field(default_factory=dict)
    order: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        found: HardList,
        patterns: HardPatterns | None = None,
        *,
        filter: str = "to do",
        text: str = "",
        opened: Collection[str] = (),
        kept: Collection[int] = (),
    ) -> HardTree:
        """The tree of what was found; `opened` are the keys of the patterns whose members are shown."""
        passes = FILTERS[filter]
        words = text.casefold().split()
        names = _names(patterns, filter)
        shown = {
            one.event_id: one
            for one in found.every
            if (passes(one) or one.event_id in kept)
            and _has(words, (found.texts or {}).get(one.event_id, ""), names.get(one.event_id, ""))
        }
        branches: dict[int, Branch] = {}
        order: list[int] = []
        if patterns is None:
            order = list(shown)
        for pattern in _of(patterns, filter):
            members = tuple(shown[event_id] for event_id in pattern.members if event_id in shown)
            if members:
                line = -1 - len(branches)
                branches[line] = Branch(line, pattern, members)
                order.append(line)
                if pattern.key in opened:
                    order += [each.event_id for each in members]
        return cls(
            found,
            patterns,
            filter,
            text,
            opened=frozenset(opened),
            kept=frozenset(kept),
            branches=branches,
            leaves=shown,
            order=tuple(order),
        )

    @property
    def ids(self) -> array[int]:
        """The lines in order."""
        return array("q", self.order)

    @property
    def count(self) -> int:
        """How many the filter and the search let through, without those that are only kept."""
        return sum(FILTERS[self.filter](one) for one in self.leaves.values())

    def lines(self, ids: Sequence[int]) -> dict[int, Branch | Leaf]:
        """What stands on these lines; those that are gone are left out."""
        failures = self.found.failures or {}
        found: dict[int, Branch | Leaf] = {}
        for line in ids:
            if line in self.branches:
                found[line] = self.branches[line]
            elif line in self.leaves:
                one = self.leaves[line]
                prompt = failures[line].prompt if line in failures else ""
                found[line] = Leaf(one, prompt, line in self.found.pinned, self.patterns is not None)
        return found

    def is_open(self, branch: Branch) -> bool:
        """Whether its members are shown."""
        return branch.pattern.key in self.opened

    def turned(self, branch: Branch, *, opened: bool) -> HardTree:
        """The tree with a pattern opened or closed."""
        return self.again(opened=self.opened | {branch.pattern.key} if opened else self.opened - {branch.pattern.key})

    def again(
        self,
        *,
        found: HardList | None = None,
        patterns: HardPatterns | None = None,
        filter: str | None = None,
        text: str | None = None,
        opened: Collection[str] | None = None,
        kept: Collection[int] | None = None,
    ) -> HardTree:
        """The tree with something else in it."""
        tree = HardTree.of(
            found or self.found,
            patterns or self.patterns,
            filter=filter or self.filter,
            text=self.text if text is None else text,
            opened=self.opened if opened is None else opened,
            kept=self.kept if kept is None else kept,
        )
        return replace(tree, before=self.before)

    def searched(self, text: str) -> HardTree:
        """The tree with a search; what it finds is shown opened where that is not too much to look through."""
        found = self.again(text=text)
        if not text:
            return found.again(opened=self.before) if self.text else found
        before = self.opened if not self.text else self.before
        few = len(found.leaves) <= _FEW
        opened = {each.pattern.key for each in found.branches.values()} if few else set(before)
        return replace(found.again(opened=opened), before=before)

    def branch_of(self, line: int | None) -> Branch | None:
        """The pattern of a line: its own, or the one that a hard negative belongs to."""
        if line is None or line in self.branches:
            return self.branches.get(line or 0)
        holding = (each for each in self.branches.values() if any(one.event_id == line for one in each.members))
        return next(holding, None)

    def following_filter(self) -> str:
        """The filter after this one, round and round."""
        names = list(FILTERS)
        return names[(names.index(self.filter) + 1) % len(names)]


def _of(patterns: HardPatterns | None, filter: str) -> Sequence[Pattern]:
    if patterns is None:
        return ()
    return patterns.all if filter in ("all", "solved") else patterns.to_do


def _names(patterns: HardPatterns | None, filter: str) -> dict[int, str]:
    return {event_id: pattern.name.casefold() for pattern in _of(patterns, filter) for event_id in pattern.members}


def _has(words: Sequence[str], text: str, name: str) -> bool:
    return all(word in text or word in name for word in words)
