"""The examples of a run exactly as the trainer will read them, with what is learned of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from storage.rows import DatasetItem
from tui.runs.samples import ShownSample, read_samples
from tui.screens.run_modal import RunModal, unless_cancelled
from tui.text import safe
from tui.widgets.outlook import fault_text, tokens_text
from tui.widgets.run_fields import RunRequest

if TYPE_CHECKING:
    from core.train.samples import Samples
    from tui.app import FinetuneApp

LEGEND = Content.assemble(
    ("context: read, not learned", "dim"), "   ", ("⟦learned: the loss is on these⟧", "bold underline $text-success")
)


class SamplesScreen(RunModal[int | None]):
    """Shows the examples of a request, one at a time. Returns the event to open in review, or None.

    `counted` is told the figures of all examples when they are there.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,v", "dismiss(None)", "Back", id="samples.back", tooltip="Back to the form"),
        Binding("n,right,l", "go(1)", "Next", id="samples.next", tooltip="The next example, in the order of training"),
        Binding("p,left,h", "go(-1)", "Previous", id="samples.previous", tooltip="The example before"),
        Binding("o,enter", "open", "Open event", id="samples.open", tooltip="Show in Review the event it comes from"),
        Binding("g,home", "end(0)", "First", show=False, id="samples.first", tooltip="The first example"),
        Binding("G,end", "end(-1)", "Last", show=False, id="samples.last", tooltip="The last example shown"),
        Binding("down,j", "scroll(1)", "Down", show=False, id="samples.down", tooltip="Scroll down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, id="samples.up", tooltip="Scroll up"),
        Binding("pagedown,space", "scroll(10)", "Page", show=False, id="samples.page", tooltip="Ten lines down"),
        Binding("pageup", "scroll(-10)", "Page back", show=False, id="samples.page_up", tooltip="Ten lines up"),
    ]
    DEFAULT_CSS = """
    SamplesScreen #samples-head { height: auto; padding: 0 1; }
    SamplesScreen #samples-box { height: 1fr; scrollbar-size-vertical: 1; }
    SamplesScreen #samples-text { height: auto; }
    """

    def __init__(self, request: RunRequest, items: Sequence[DatasetItem], counted: Callable[[Samples], None]) -> None:
        super().__init__()
        self._request = request
        self._items = items
        self._counted = counted
        self._shown: Sequence[ShownSample] = ()
        self._total = len(items)
        self._at = 0

    def compose(self) -> ComposeResult:
        """Where one is and why over the example."""
        yield Static(id="samples-head")
        with VerticalScroll(id="samples-box", classes="pane") as box:
            box.border_title = "As the trainer reads it"
            yield Static(id="samples-text")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Have the examples tokenised."""
        box = self.query_one("#samples-box")
        box.focus()
        box.loading = True
        self.query_one("#samples-head", Static).update(
            safe(f"{self._request.base} reads {self._total:,} examples. A process of its own does it; esc ends that.")
        )
        home, request, items = cast("FinetuneApp", self.app).home, self._request, self._items
        self.in_background(
            lambda: read_samples(home, request, items, unless_cancelled()),
            group="showing the examples",
            then=self._take,
            failed=self._fail,
        )

    def _take(self, found: tuple[Samples, Sequence[ShownSample]]) -> None:
        samples, self._shown = found
        self._counted(samples)
        box = self.query_one("#samples-box")
        box.loading = False
        box.border_subtitle = safe(f"tokens: {tokens_text(samples)}", one_line=True)
        self._show()
        self.refresh_bindings()

    def _fail(self, error: BaseException) -> None:
        self.query_one("#samples-box").loading = False
        self.query_one("#samples-head", Static).update("No example can be shown.")
        self.query_one("#samples-text", Static).update(fault_text("Samples", error))

    def _show(self) -> None:
        if not self._shown:
            return
        one = self._shown[self._at]
        more = f" (of {self._total:,}; these are the first)" if len(self._shown) < self._total else ""
        self.query_one("#samples-head", Static).update(
            Content.assemble(
                (f"Example {self._at + 1:,} of {len(self._shown):,}{more}", "bold"),
                "   ",
                safe(" · ".join(one.facts), "$text-muted"),
                "\n",
                (f"{one.kind}: ", "bold"),
                safe(one.why),
                "\n",
                LEGEND,
            )
        )
        self.query_one("#samples-text", Static).update(sample_text(one))
        self.query_one("#samples-box").scroll_home(animate=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with the example that is shown."""
        if action == "go":
            return 0 <= self._at + int(str(parameters[0])) < len(self._shown) or None
        if action == "open":
            return bool(self._shown and self._shown[self._at].event_id)
        return True

    def action_go(self, by: int) -> None:
        """To another example."""
        self._at = max(0, min(len(self._shown) - 1, self._at + by))
        self._show()
        self.refresh_bindings()

    def action_end(self, place: int) -> None:
        """To the first or the last example."""
        self._at = place % len(self._shown) if self._shown else 0
        self._show()
        self.refresh_bindings()

    def action_open(self) -> None:
        """Leave for the event that the example comes from."""
        self.dismiss(self._shown[self._at].event_id)

    def action_scroll(self, lines: int) -> None:
        """Scroll the example."""
        self.query_one("#samples-box").scroll_relative(y=lines, animate=False)

    def copyable(self) -> str:
        """The example as the trainer reads it."""
        return "\n".join(row.prompt + row.answer for row in self._shown[self._at].sample.rows) if self._shown else ""


def sample_text(one: ShownSample) -> Content:
    """Each conversation of an example: its context dim, what is learned bold and underlined between brackets."""
    parts: list[Content] = []
    if one.sample.reason:
        parts.append(safe(f"! {one.sample.reason}", "bold $text-warning"))
    for row in one.sample.rows:
        title = f"{row.kind or 'example'}: {row.prompt_tokens:,} tokens read, {row.answer_tokens:,} learned"
        if row.kind == "rejected":
            title += ", as what to avoid"
        parts.append(safe(title, "$text-accent"))
        parts.append(
            Content.assemble(safe(row.prompt, "dim"), "⟦", safe(row.answer, "bold underline $text-success"), "⟧")
        )
    if not one.sample.rows:
        parts.append(Content("The trainer leaves this one out."))
    return Content("\n").join(parts)
