"""The lines of the settings screen: what each shows in the list, and what stands below while the cursor is on it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from core.categories import Category
from core.settings_docs import CATEGORIES
from core.settings_values import Held, as_toml, shown
from storage.rows import CategoryCounts
from tui.settings.checks import CheckRow, fit
from tui.text import safe
from tui.words import counted

ORIGINS = {
    "config.toml": ("●", "changed", "$text-accent"),
    "shipped": ("◆", "shipped", "$text-muted"),
    "preset": ("◆", "preset", "$text-muted"),
    "section": ("·", "as for all", "$text-muted"),
    "default": ("·", "default", "$text-muted"),
}
_ORIGIN_WIDTH = 12
_WIDE = 90


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting; `whole` names it with its section."""

    held: Held
    whole: bool = False

    @property
    def name(self) -> str:
        return self.held.setting.name

    @property
    def words(self) -> str:
        """What it is found by."""
        return f"{self.name} {self.held.setting.help}"

    def line(self, width: int) -> Content:
        """Name, value, and where it comes from by glyph and word; with room also its default and what it does."""
        label = self.name if self.whole else self.held.setting.key
        glyph, word, colour = ORIGINS[self.held.origin]
        wide = width >= _WIDE
        name_width = 32 if wide else max(24, width * 2 // 5)
        room = 20 if wide else max(8, width - name_width - _ORIGIN_WIDTH - 3)
        line = Content.assemble(
            safe(fit(label, name_width)), " ",
            safe(fit(_value(self.held), room), "bold" if self.held.changed else ""), " ",
            (fit(f"{glyph} {word}", _ORIGIN_WIDTH), colour),
        )  # fmt: skip
        if not wide:
            return line
        rest = (shown(self.held.setting, self.held.fallback) or "–").replace("\n", " ") if self.held.changed else ""
        return line + safe(f" {fit(rest, 14)}  {self.held.setting.help}", "$text-muted")

    def detail(self) -> Content:
        """What it does, what it may be, what it would be otherwise."""
        held, setting = self.held, self.held.setting
        glyph, word, colour = ORIGINS[held.origin]
        parts = [Content.assemble(safe(self.name, "bold"), "  ", (f"{glyph} {word}", colour)), safe(setting.help)]
        rest = shown(setting, held.fallback) or "empty"
        without = f"otherwise {rest}" if held.changed else f"now {_value(held)}"
        parts.append(safe(f"It must be {setting.allows}; {without}.", "$text-muted"))
        if setting.long and held.value:
            parts.append(safe(str(held.value), limit=2_000))
        return Content("\n").join(parts)

    def copyable(self) -> str:
        """Its line for a `config.toml`; a secret stays out."""
        value = self.held.shown if self.held.setting.secret else self.held.value
        return f"{self.name} = {as_toml(value)}"


@dataclass(frozen=True, slots=True)
class CategoryRow:
    """A category with what is recorded in it."""

    own: Category
    counts: CategoryCounts | None
    changed: bool

    @property
    def name(self) -> str:
        return f"{CATEGORIES}.{self.own.name}"

    @property
    def words(self) -> str:
        """What it is found by."""
        return f"{self.name} {self.own.title} {self.own.validator}"

    def line(self, width: int) -> Content:
        """Mark, name, validator, threshold, tier, count."""
        glyph, _, colour = ORIGINS["config.toml" if self.changed else "shipped"]
        total = self.counts.total if self.counts is not None else 0
        name_width = 19 if width < 60 else 24
        text = f" {fit(self.own.name, name_width)} {fit(self.own.validator, 11)} ≥{self.own.success_score:<3g} "
        left = Content.assemble((glyph, colour), safe(f"{text}{self.own.min_tier:<6}{total:>7,}"))
        return left if width < 60 else left + safe(f"  {self.own.title}", "$text-muted", one_line=True)

    def detail(self) -> Content:
        """Thresholds, counts by tier, guidelines."""
        own, counts = self.own, self.counts
        glyph, word, colour = ORIGINS["config.toml" if self.changed else "shipped"]
        lines = [Content.assemble(safe(f"{own.title}  ", "bold"), (f"{glyph} {word}", colour))]
        facts = [
            f"validator {own.validator}", f"success from {own.success_score:g}", f"trains on {own.min_tier} and better",
            f"complexity {own.complexity:g}", f"base model {own.base_model}",
        ]  # fmt: skip
        lines.append(safe(" · ".join(facts)))
        if counts is not None:
            tiers = f"{counts.gold:,} gold · {counts.silver:,} silver · {counts.bronze:,} bronze"
            lines.append(safe(f"{counted(counts.total, 'event')}: {tiers} · {counts.pending:,} to review"))
        else:
            lines.append(Content("no event yet"))
        lines.append(safe(own.guidelines.strip() or "No guidelines.", "$text-muted"))
        return Content("\n").join(lines)

    def copyable(self) -> str:
        """Its name."""
        return self.own.name


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A verb of the app with its keys. `own` are those from keymap.toml, empty where the app's hold."""

    id: str
    verb: str
    keys: str
    own: str
    fault: str = ""

    @property
    def name(self) -> str:
        return self.id

    @property
    def words(self) -> str:
        """What it is found by."""
        return f"{self.id} {self.verb} {self.own or self.keys}"

    def line(self, width: int) -> Content:
        """Keys, verb, id, mark."""
        glyph, word, colour = ("✗", "fault", "$text-error") if self.fault else ORIGINS[self._origin]
        column = min(20, width // 4)
        room = max(8, width - 2 * column - _ORIGIN_WIDTH)
        return Content.assemble(
            safe(fit(self.own or self.keys, column), "bold"), " ", safe(fit(self.verb, column)), " ",
            safe(fit(self.id, room), "$text-muted"), " ", (f"{glyph} {word}", colour),
        )  # fmt: skip

    @property
    def _origin(self) -> str:
        return "config.toml" if self.own else "default"

    def detail(self) -> Content:
        """How to change it."""
        told = safe(self.fault, "$text-error") if self.fault else Content(f"By default {self.keys}.")
        how = f'To change it, write "{self.id}" = "x" in keymap.toml; e opens that file. It holds at the next start.'
        return Content("\n").join([safe(f"{self.verb}  ({self.id})", "bold"), told, safe(how, "$text-muted")])

    def copyable(self) -> str:
        """Its line for a `keymap.toml`."""
        return f'"{self.id}" = "{self.own or self.keys}"'


@dataclass(frozen=True, slots=True)
class ThemeRow:
    """A theme that can be chosen."""

    name: str
    dark: bool
    kept: bool

    @property
    def words(self) -> str:
        """What it is found by."""
        return f"theme {self.name}"

    def line(self, width: int) -> Content:
        """Name, side, and whether it is the chosen one."""
        mark = ("✓ kept", "$text-success") if self.kept else ""
        return Content.assemble(safe(f"{self.name:<26} {'dark' if self.dark else 'light':<6} "), mark)

    def detail(self) -> Content:
        """What the colours are for, in the theme that is shown."""
        shades = [("success", "✓"), ("warning", "!"), ("error", "✗"), ("accent", "●"), ("primary", "▸"), ("muted", "·")]
        sample = [Content.styled(f"{glyph} {name}   ", f"$text-{name}") for name, glyph in shades]
        told = "The theme under the cursor is shown at once; enter keeps it, leaving puts the old one back."
        return Content("\n").join([Content("").join(sample), safe(told, "$text-muted")])

    def copyable(self) -> str:
        """Its name."""
        return self.name


Row = SettingRow | CategoryRow | KeyRow | ThemeRow | CheckRow


def _value(held: Held) -> str:
    text = held.shown.replace("\n", " ").strip()
    return text or "–"
