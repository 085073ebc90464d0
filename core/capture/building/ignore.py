"""Patterns of `.gitignore` files: which files of a folder its owner does not count as its content."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a `.gitignore`. `base` is the folder that holds the file, relative to the root, empty for the root
    itself; `parts` are its names between slashes, None for `**`, which stands for any number of them. `keeps` marks a
    line with `!`, which takes an earlier one back."""

    base: str
    parts: tuple[re.Pattern[str] | None, ...]
    keeps: bool
    folders_only: bool


def rules_of(text: str, base: str = "") -> list[Rule]:
    """The rules of a `.gitignore` (git-scm.com/docs/gitignore), in order."""
    rules: list[Rule] = []
    for line in text.splitlines():
        glob = line.rstrip()
        if not glob.strip("/") or glob.startswith("#"):
            continue
        keeps = glob.startswith("!")
        glob = glob[1:] if keeps else glob
        # A pattern with a slash before its end starts at the folder of its file, another one fits at any depth.
        anchored = "/" in glob[:-1]
        names = [each for each in glob.split("/") if each]
        parts = [None if each == "**" else _compiled(each) for each in names]
        # What ends with `**` means what is in the folder, not the folder itself.
        parts += [_compiled("*")] if parts[-1:] == [None] else []
        if parts:
            rules.append(Rule(base, (*(() if anchored else (None,)), *parts), keeps, glob.endswith("/")))
    return rules


def is_ignored(name: str, rules: Sequence[Rule], *, folder: bool) -> bool:
    """Whether the last rule that fits `name` (relative to the root, with forward slashes) leaves it out.

    What lies in a folder that is left out need not be asked for.
    """
    for rule in reversed(rules):
        if rule.folders_only and not folder:
            continue
        inside = name[len(rule.base) + 1 :] if rule.base else name
        if (not rule.base or name.startswith(f"{rule.base}/")) and _fits(rule.parts, inside.split("/")):
            return not rule.keeps
    return False


def _compiled(glob: str) -> re.Pattern[str]:
    # fnmatch knows no backslash, and its patterns never take long to refuse a name.
    return re.compile(fnmatch.translate(_ESCAPED.sub(lambda found: f"[{found[1]}]", glob)))


def _fits(parts: Sequence[re.Pattern[str] | None], names: Sequence[str]) -> bool:
    """Whether the parts fit all the names; time is the product of their numbers."""
    reached = {0}
    for part in parts:
        if part is None:
            reached = set(range(min(reached), len(names) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(names) and part.match(names[at])}
        if not reached:
            return False
    return len(names) in reached
