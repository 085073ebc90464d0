"""One example of an A/B test: the prompt and both answers, side by side where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from storage.rows import AbPairRow
from tui.screens.base import BaseScreen
from tui.text import safe
from tui.words import duration, number

_OUTCOMES = {"a": "✗ lost: the baseline was better", "b": "✓ won: the candidate was better", "tie": "= tie"}


class PairScreen(ModalScreen[int]):
    """Shows the example at `index` of `pairs`; returns the index of the one that was shown last."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Back", id="example.close", tooltip="Back to the list of examples"),
        Binding("n,right,l", "go(1)", "Next", id="example.next", tooltip="The next example"),
        Binding("p,left,h", "go(-1)", "Previous", id="example.previous", tooltip="The example before"),
        Binding("down,j", "scroll(1)", "Down", show=False, id="example.down", tooltip="Scroll both answers down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, id="example.up", tooltip="Scroll both answers up"),
        Binding("pagedown,space", "scroll(10)", "Page", show=False, id="example.page", tooltip="Scroll ten lines down"),
        Binding("pageup", "scroll(-10)", "Page", show=False, id="example.back", tooltip="Scroll ten lines up"),
    ]
    HORIZONTAL_BREAKPOINTS = BaseScreen.HORIZONTAL_BREAKPOINTS
    DEFAULT_CSS = """
    PairScreen { background: $background; }
    PairScreen #pair-head { height: auto; padding: 0 1; }
    PairScreen #pair-prompt { height: auto; max-height: 25%; scrollbar-size-vertical: 1; }
    PairScreen #pair-answers { layout: horizontal; height: 1fr; }
    PairScreen.-narrow #pair-answers { layout: vertical; }
    PairScreen .answer { width: 1fr; height: 1fr; scrollbar-size-vertical: 1; }
    PairScreen Static { height: auto; }
    """

    def __init__(self, pairs: Sequence[AbPairRow], index: int, baseline: str, candidate: str) -> None:
        super().__init__()
        self._pairs = pairs
        self._index = index
        self._names = (baseline, candidate)

    def compose(self) -> ComposeResult:
        """Outcome over the prompt over both answers."""
        yield Static(id="pair-head")
        with VerticalScroll(id="pair-prompt", classes="pane"):
            yield Static(id="pair-question")
        with Container(id="pair-answers"):
            for arm in "ab":
                with VerticalScroll(id=f"pair-{arm}", classes="answer pane"):
                    yield Static(id=f"pair-text-{arm}")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the first one."""
        self.query_one("#pair-prompt").border_title = "Prompt"
        self.query_one("#pair-b").focus()
        self._show()

    def _show(self) -> None:
        pair = self._pairs[self._index]
        place = f"Example {self._index + 1} of {len(self._pairs)}   "
        self.query_one("#pair-head", Static).update(Content.assemble(place, (_OUTCOMES.get(pair.winner, ""), "bold")))
        self.query_one("#pair-question", Static).update(safe(pair.prompt))
        arms = (
            ("a", "Baseline", pair.response_a, pair.score_a, pair.latency_a, pair.tokens_a),
            ("b", "Candidate", pair.response_b, pair.score_b, pair.latency_b, pair.tokens_b),
        )
        for (arm, role, text, score, latency, tokens), name in zip(arms, self._names, strict=True):
            pane = self.query_one(f"#pair-{arm}")
            pane.border_title = safe(f"{role}: {name}", one_line=True)
            pane.border_subtitle = f"score {number(score)} · {duration(latency)} · {tokens} tokens"
            pane.scroll_home(animate=False)
            shown = safe(text) if text.strip() else Content.styled("(an empty answer)", "$text-muted")
            self.query_one(f"#pair-text-{arm}", Static).update(shown)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing before the first example or after the last."""
        if action == "go" and isinstance(parameters[0], int):
            return 0 <= self._index + parameters[0] < len(self._pairs)
        return True

    def action_go(self, steps: int) -> None:
        """Show another example."""
        self._index += steps
        self._show()
        self.refresh_bindings()

    def action_scroll(self, lines: int) -> None:
        """Scroll both answers alike, so that they can be compared line by line."""
        for arm in "ab":
            self.query_one(f"#pair-{arm}").scroll_relative(y=lines, animate=False)

    def action_close(self) -> None:
        """Back, with the index of what was shown."""
        self.dismiss(self._index)
