"""Patterns of `.gitignore` files: which files of a folder its owner does not count as its content."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a `.gitignore`. `base` is the folder that holds the file, relative to the root, empty for the root
    itself; `keeps` marks a line with `!`, which takes an earlier one back."""

    base: str
    pattern: re.Pattern[str]
    keeps: bool
    folders_only: bool


def rules_of(text: str, base: str = "") -> list[Rule]:
    """The rules of a `.gitignore` (git-scm.com/docs/gitignore), in order; a line that is no pattern is left out."""
    rules: list[Rule] = []
    for line in text.splitlines():
        stripped = line.rstrip()
        if not stripped or stripped.startswith("#"):
            continue
        keeps = stripped.startswith("!")
        glob = stripped[1:] if keeps else stripped
        folders_only = glob.endswith("/")
        glob = glob.strip("/") if not glob.startswith("/") else f"/{glob.strip('/')}"
        if glob.strip("/"):
            rules.append(Rule(base, _compiled(glob), keeps, folders_only))
    return rules


def is_ignored(name: str, rules: Sequence[Rule], *, folder: bool) -> bool:
    """Whether the last rule that fits `name` (relative to the root, with forward slashes) leaves it out.

    What lies in a folder that is left out need not be asked for.
    """
    for rule in reversed(rules):
        if rule.folders_only and not folder:
            continue
        inside = name[len(rule.base) + 1 :] if rule.base else name
        if (not rule.base or name.startswith(f"{rule.base}/")) and rule.pattern.fullmatch(inside):
            return not rule.keeps
    return False


def _compiled(glob: str) -> re.Pattern[str]:
    """A pattern with a slash in it starts at the folder of its file; another one fits at any depth."""
    anchored = "/" in glob
    parts: list[str] = []
    for part in glob.lstrip("/").split("/"):
        parts.append("**" if part == "**" else _segment(part))
    text = "" if anchored else "(?:.*/)?"
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        if part == "**":
            text += ".+" if last else "(?:[^/]+/)*"
        else:
            text += part if last else f"{part}/"
    return re.compile(text, re.S)


def _segment(glob: str) -> str:
    text, at = "", 0
    while at < len(glob):
        character = glob[at]
        end = glob.find("]", at + 2) if character == "[" else -1
        if character == "*":
            # Several stars in a name mean one, and would take the pattern long to refuse a name.
            text += "" if text.endswith("[^/]*") else "[^/]*"
        elif character == "?":
            text += "[^/]"
        elif end > 0:
            inner = glob[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            text += f"[^{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]"
            at = end
        elif character == "\\" and at + 1 < len(glob):
            at += 1
            text += re.escape(glob[at])
        else:
            text += re.escape(character)
        at += 1
    try:
        re.compile(text)
    except re.error:  # a range that runs backwards
        return re.escape(glob)
    return text
