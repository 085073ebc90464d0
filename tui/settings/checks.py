"""What the doctor has looked at, as lines of the settings screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from core.checks import Check
from tui.text import safe

CHECKS = {
    "ok": ("✓", "ok", "$text-success"),
    "warning": ("!", "warning", "$text-warning"),
    "problem": ("✗", "fault", "$text-error"),
    "info": ("·", "note", "$text-muted"),
}


@dataclass(frozen=True, slots=True)
class CheckRow:
    """Something that the doctor has looked at, or a fact of the same kind."""

    check: Check

    @property
    def name(self) -> str:
        return self.check.name

    @property
    def words(self) -> str:
        """What it is found by."""
        return f"{self.check.name} {self.check.detail}"

    def line(self, width: int) -> Content:
        """Glyph, word, what was looked at, what was found."""
        glyph, word, colour = CHECKS[self.check.state]
        head = Content.assemble((f"{glyph} {word:<8}", colour), safe(fit(self.check.name, 18), "bold"), " ")
        return head + safe(self.check.detail, one_line=True, limit=max(20, width * 2))

    def detail(self) -> Content:
        """All of it, and what to do."""
        glyph, word, colour = CHECKS[self.check.state]
        lines = [
            Content.assemble((f"{glyph} {word}  ", colour), safe(self.check.name, "bold")),
            safe(self.check.detail),
        ]
        if self.check.hint:
            lines.append(safe(f"→ {self.check.hint}"))
        if self.check.fix:
            lines.append(Content.assemble(("f", "bold $text-accent"), f"  {fix_verb(self.check.fix)}"))
        return Content("\n").join(lines)

    def copyable(self) -> str:
        """What was found and what to do."""
        return "\n".join(filter(None, [f"{self.check.name}: {self.check.detail}", self.check.hint]))


def fix_verb(fix: str) -> str:
    """What the key for a fix does, in words."""
    kind, _, number = fix.partition(" ")
    known = {
        "ollama": "make Ollama follow the store", "trials": "remove these folders", "file": "open config.toml",
        "run": f"open run {number}", "version": "open the version",
    }  # fmt: skip
    return known[kind]


def summary(checks: Sequence[Check]) -> Content:
    """How many checks came out how."""
    parts = []
    for state in ("problem", "warning", "ok"):
        number = sum(one.state == state for one in checks)
        glyph, word, colour = CHECKS[state]
        if number or state == "ok":
            parts.append(Content.styled(f"{glyph} {number} {word}", colour))
    return Content(" · ").join(parts)


def fit(text: str, width: int) -> str:
    """A text cut or padded to a number of cells."""
    return f"{text if len(text) <= width else text[: width - 1] + '…':<{width}}"
