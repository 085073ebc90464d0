"""Two runs beside each other: the same curve of both, and in figures what was asked of each and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from tui.runs.compare import Comparison, Row, read_comparison
from tui.screens.run_modal import RunModal
from tui.text import safe
from tui.widgets.chart import LineChart
from tui.widgets.curves import Series
from tui.widgets.outlook import fault_text
from tui.widgets.run_view import NAMES

if TYPE_CHECKING:
    from tui.app import FinetuneApp

_WIDEST: Final = 26  # cells of a value


class CompareRunsScreen(RunModal[None]):
    """The first run is drawn as a line, the second in dots."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,equals_sign", "dismiss(None)", "Back", id="compare.back", tooltip="Back to the runs"),
        Binding("c", "curve(1)", "Curve", id="compare.curve", tooltip="Loss, score, rate, memory or rewards of both"),
        Binding("s", "swap", "Swap", id="compare.swap", tooltip="Draw the other one as a line"),
        Binding("down,j", "scroll(1)", "Down", show=False, id="compare.down", tooltip="Scroll the figures down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, id="compare.up", tooltip="Scroll the figures up"),
        Binding("pagedown,space", "scroll(10)", "Page", show=False, id="compare.page", tooltip="Ten lines down"),
        Binding("pageup", "scroll(-10)", "Page back", show=False, id="compare.page_up", tooltip="Ten lines up"),
    ]
    DEFAULT_CSS = """
    CompareRunsScreen #compare-panes { layout: horizontal; height: 1fr; }
    CompareRunsScreen.-narrow #compare-panes { layout: vertical; }
    CompareRunsScreen #compare-chart-box { width: 1fr; height: 1fr; }
    CompareRunsScreen.-narrow #compare-chart-box { height: 10; width: 100%; }
    CompareRunsScreen #compare-figures { width: 1fr; height: 1fr; scrollbar-size-vertical: 1; }
    CompareRunsScreen.-narrow #compare-figures { width: 100%; }
    CompareRunsScreen #compare-text { height: auto; }
    """

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self._pair = (first, second)
        self._found: Comparison | None = None
        self._curve = 0

    def compose(self) -> ComposeResult:
        """The curve beside or over the figures."""
        with Container(id="compare-panes"):
            with Container(id="compare-chart-box", classes="pane"):
                yield LineChart(id="compare-chart", empty="Reading both runs…")
            with VerticalScroll(id="compare-figures", classes="pane") as box:
                box.border_title = "What differs"
                yield Static(id="compare-text")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Read both."""
        self.query_one("#compare-figures").focus()
        self._read()

    def _read(self) -> None:
        home, (first, second) = cast("FinetuneApp", self.app).home, self._pair
        self.query_one("#compare-figures").loading = self._found is None
        self.in_background(
            lambda: read_comparison(home, first, second), group="comparing two runs", then=self._take, failed=self._fail
        )

    def _take(self, found: Comparison) -> None:
        self._found = found
        self.query_one("#compare-figures").loading = False
        self.query_one("#compare-text", Static).update(comparison_text(found))
        self._draw()

    def _fail(self, error: BaseException) -> None:
        self.query_one("#compare-figures").loading = False
        self.query_one("#compare-text", Static).update(fault_text("Runs", error))
        self.query_one(LineChart).show([], empty="Nothing to draw.")

    def _draw(self) -> None:
        if self._found is None:
            return
        names = self._found.curve_names()
        name = names[self._curve % len(names)] if names else ""
        shown = [side.curves.get(name) or Series(f"run {side.run.id}") for side in self._found.sides]
        self.query_one(LineChart).show(shown, empty="Neither run has told a figure.")
        self.query_one("#compare-chart-box").border_title = NAMES.get(name, "")

    def action_curve(self, by: int) -> None:
        """Another figure of both."""
        self._curve += by
        self._draw()

    def action_swap(self) -> None:
        """The other one first."""
        self._pair = (self._pair[1], self._pair[0])
        if self._found is not None:
            self._take(Comparison((self._found.sides[1], self._found.sides[0])))

    def action_scroll(self, lines: int) -> None:
        """Scroll the figures."""
        self.query_one("#compare-figures").scroll_relative(y=lines, animate=False)

    def copyable(self) -> str:
        """The comparison as text."""
        return comparison_text(self._found).plain if self._found is not None else ""


def comparison_text(found: Comparison) -> Content:
    """Three tables: settings that differ, figures at the end, data."""
    one, two = (f"run {side.run.id}" for side in found.sides)
    tables = (
        ("Settings that differ", found.settings, "None: the settings are the same."),
        ("At the end", found.figures, "Neither has told a figure."),
        ("Trained on", found.data, ""),
    )
    rows = [row for _, group, _ in tables for row in group]
    label = max((len(row.label) for row in rows), default=0)
    first = min(_WIDEST, max((len(row.values[0]) for row in rows), default=0) + 2)
    first = max(first, len(one) + 5)
    head = Content.assemble(" " * (label + 2), (f"{'━━ ' + one:<{first}}", "bold $text-primary"),
                            ("  ┅┅ " + two, "bold $text-warning"))  # fmt: skip
    blocks = [head]
    for title, group, none in tables:
        blocks.append(Content.styled(f"\n{title}", "bold $text-accent"))
        blocks += _lines(group, label, first) or [Content.styled(none, "$text-muted")]
    return Content("\n").join(blocks)


def _lines(group: Sequence[Row], label: int, first: int) -> list[Content]:
    lines: list[Content] = []
    for row in group:
        marks = ["✓ " if row.better == place else "  " for place in (0, 1)]
        lines.append(
            Content.assemble(
                (f"{row.label:<{label}}  ", "$text-muted"),
                safe(
                    f"{marks[0]}{row.values[0]}"[:first].ljust(first), "bold" if row.better == 0 else "", one_line=True
                ),
                safe(f"{marks[1]}{row.values[1]}", "bold" if row.better == 1 else "", one_line=True),
            )
        )
    return lines
