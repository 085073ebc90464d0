"""The fields of the form of a new run as they stand, without what they mean to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.app import ComposeResult
from textual.containers import Grid, Horizontal, Vertical
from textual.widgets import Button, Label, Select, Static

from tui.widgets.run_fields import BASE_TIP, FIELDS, METHOD_TIP, METHODS, QUANTIZE, QUANTIZE_TIP, START_TIP
from tui.widgets.run_inputs import Arrow, BaseInput, NumberInput

FRESH: Final = (("a fresh adapter", ""),)
START: Final = "Start training (ctrl+s)"
STOP: Final = "Break off (x)"


class FormFields(Vertical):
    """Category, base, method and start over the eight numbers, the button, and how far a start is."""

    DEFAULT_CSS = """
    FormFields {
        height: auto;
        .row { height: 1; margin-bottom: 0; }
        .row Label, Grid Label { width: 14; color: $text-muted; }
        .row Label.-second { width: 11; margin-left: 1; }
        .row Select, .row Input { width: 1fr; }
        .row #form-quantize_base { width: 7; }
        #form-quantize_base SelectOverlay { width: 9; }
        #form-bases { width: 3; padding-left: 1; color: $foreground 50%; }
        Grid { grid-size: 2; grid-columns: 1fr 1fr; grid-gutter: 0 2; grid-rows: 1; height: auto; }
        Grid Horizontal { height: 1; }
        Grid Input { width: 1fr; }
        .-invalid { color: $text-error; text-style: underline; }
        #form-progress { height: auto; margin-top: 1; display: none; }
        #form-start { margin-top: 1; width: 100%; }
    }
    """

    def compose(self) -> ComposeResult:
        """Row by row."""
        with Horizontal(classes="row"):
            yield Label("Category")
            yield Select[str]([], prompt="No category", compact=True, id="form-category")
        with Horizontal(classes="row"):
            yield Label("Base model")
            base = BaseInput(compact=True, id="form-base", placeholder="a preset, a folder, ollama:NAME")
            base.tooltip = BASE_TIP
            yield base
            yield Arrow("▼", id="form-bases")
        with Horizontal(classes="row"):
            yield Label("Method")
            yield _select("form-method", METHODS, METHOD_TIP)
            yield Label("4-bit base", classes="-second")
            yield _select("form-quantize_base", QUANTIZE, QUANTIZE_TIP)
        with Horizontal(classes="row"):
            yield Label("Go on from")
            yield _select("form-from", FRESH, START_TIP)
        with Grid():
            for field in FIELDS:
                with Horizontal():
                    yield Label(field.label)
                    box = NumberInput(
                        compact=True, id=f"form-{field.key}", restrict=r"[0-9.eE+-]*", max_length=12, valid_empty=False
                    )
                    box.tooltip = field.tooltip
                    yield box
        yield Button(START, variant="primary", compact=True, id="form-start")
        yield Static(id="form-progress")


def _select(id: str, options: Sequence[tuple[str, str]], tooltip: str) -> Select[str]:
    return Select(options, allow_blank=False, compact=True, id=id, tooltip=tooltip)
