"""Everything that is known of two versions: sources, people against scores, failures by pattern, ratings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from core.prove.breakdown import Part
from core.prove.pooled import Pool, choices_of
from core.prove.rating import Rating
from tui.comparison import ComparisonView
from tui.text import safe
from tui.widgets.interval_bar import scale_lines
from tui.widgets.verdict import decided_by, figures, verdict_line
from tui.words import counted, number, percent

_BAR = 40
_FIGURES = 68  # columns of a line of figures in the table of parts, and what a name beside them needs at least
_NAME = 24
_CHOICES = {
    "a": "baseline",
    "b": "candidate",
    "tie": "no difference",
    "both_good": "both good",
    "both_bad": "both bad",
    "skip": "skipped",
}


class AbDetailsScreen(ModalScreen[None]):
    """Shows a comparison; `name` gives the name of a version."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,d", "close", "Back", id="details.close", tooltip="Back to the scoreboard"),
        Binding("down,j", "scroll(1)", "Down", show=False, id="details.down", tooltip="Scroll down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, id="details.up", tooltip="Scroll up"),
    ]
    DEFAULT_CSS = """
    AbDetailsScreen { align: center middle; }
    AbDetailsScreen > VerticalScroll {
        width: 110; max-width: 98%; height: auto; max-height: 96%;
        background: $surface; border: round $primary; padding: 0 2;
    }
    AbDetailsScreen Static { height: auto; }
    """

    def __init__(self, view: ComparisonView, pool: Pool, parts: Sequence[Part], name: Callable[[int], str]) -> None:
        super().__init__()
        self._view, self._pool, self._parts, self._name_of = view, pool, parts, name

    def compose(self) -> ComposeResult:
        """One text to scroll."""
        with VerticalScroll() as box:
            box.border_title = "Everything known of the two"
            box.border_subtitle = "esc back · j k scroll"
            yield Static(id="details-text")

    def on_mount(self) -> None:
        """Keys scroll at once."""
        self.query_one(VerticalScroll).focus()

    def on_resize(self) -> None:
        """Tables take the shape that the window has room for."""
        box = self.query_one(VerticalScroll)
        width = box.content_region.width - box.styles.scrollbar_size_vertical
        self.query_one("#details-text", Static).update(self._text(width))

    def _text(self, width: int) -> Content:
        view = self._view
        return Content("\n\n").join(
            block
            for block in (
                together(view),
                votes(view, self._pool),
                forgetting(view.forgotten),
                by_part(self._parts, width),
                strengths(view.ratings, self._name_of, width, held_by_prior=view.held_by_prior),
            )
            if block.plain
        )

    def action_close(self) -> None:
        """Back to the scoreboard."""
        self.dismiss()

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def together(view: ComparisonView) -> Content:
    """The verdict over all sources, and what each of them has decided."""
    if view.pooled is None:
        return Content("")
    verdict = verdict_line(view.pooled, 0, serves=view.serves)
    lines = [_heading("All sources together"), verdict, figures(view.pooled)]
    lines.append(Content(decided_by(view.pooled["sources"])))
    return Content("\n").join([*lines, *(safe(f"· {reason}") for reason in view.pooled["reasons"])])


def votes(view: ComparisonView, pool: Pool) -> Content:
    """What people said, whether they agree with the scores, and whether the side had a say."""
    if view.pooled is None or not pool.votes:
        return Content("")
    counts = choices_of(pool.votes)
    agreement = view.pooled["agreement"]
    lines = [_heading("Blind votes")]
    lines.append(Content(" · ".join(f"{count} {_CHOICES[choice]}" for choice, count in counts.items())))
    if agreement["n"]:
        share = percent(agreement["share"])
        lines.append(Content(f"people and scores agree on {agreement['agree']} of {agreement['n']} pairs ({share})"))
    lines.append(
        Content(
            f"left side chosen {agreement['left']} times, right side {agreement['right']} "
            f"(p {agreement['side_p']:.2f} if the side had no say)"
        )
    )
    return Content("\n").join(lines)


def forgetting(forgotten: Sequence[str]) -> Content:
    """What the candidate has forgotten; nothing where it has not."""
    return Content("\n").join([_heading("Forgetting"), *(safe(f"✗ {text}") for text in forgotten)] if forgotten else [])


def by_part(parts: Sequence[Part], width: int) -> Content:
    """Outcomes by category and by pattern of failure; a narrow window has each name above its figures."""
    if not parts:
        return Content("")
    beside = width - _FIGURES
    headers = _part_line("tests", "win rate", "interval", "score", "pass rate")
    lines = [_heading("By category and by what used to fail")]
    lines.append(Content.styled(f"{headers}  prompts" if beside >= _NAME else headers, "$text-muted"))
    for part in parts:
        low, high = part.interval
        figures_of = _part_line(
            str(part.n),
            percent(part.win_rate) if part.n else "–",
            f"{100 * low:.0f} to {100 * high:.0f} %",
            f"{number(part.score_a)} → {number(part.score_b)}",
            f"{percent(part.success_a)} → {percent(part.success_b)}",
        )
        room = beside if beside >= _NAME else width
        name = safe(part.name, one_line=True).truncate(max(1, room), ellipsis=True)
        lines += [Content(f"{figures_of}  ") + name] if beside >= _NAME else [name, Content(figures_of)]
    return Content("\n").join(lines)


def _part_line(tests: str, win_rate: str, interval: str, score: str, success: str) -> str:
    return f"{tests:>5} {win_rate:>9} {interval:>14} {score:>15} {success:>16}"


def strengths(rated: Sequence[Rating], name: Callable[[int], str], width: int, *, held_by_prior: bool) -> Content:
    """All versions that were ever tested, the strongest first, each with its interval drawn."""
    if not rated:
        return Content("")
    ends = [end for each in rated if each.elo is not None for end in (each.low, each.high, each.elo) if end is not None]
    span = (min([*ends, 0.0]), max([*ends, 0.0]) + 1e-9)
    longest = max(len(name(each.version)) for each in rated)
    lines = [_heading("Ratings over all tests of the category"), Content("Elo points; 400 are odds of ten to one.")]
    told = {each.version: _rated(each) for each in rated}
    bar_width = min(_BAR, width - longest - 9 - 2 - max(len(text) for text in told.values()))
    for each in rated:
        if each.elo is None:
            lines.append(safe(f"{name(each.version):<{longest}}  no test links it with the base"))
            continue
        low, high = (each.elo if end is None else end for end in (each.low, each.high))
        bar = scale_lines(low, high, each.elo, width=bar_width, span=span, marks=())[0] if bar_width >= 8 else ""
        lines.append(
            Content.assemble(
                safe(f"{name(each.version):<{longest}} {each.elo:>+6.0f}  "),
                (bar, "$text-primary"),
                f"  {told[each.version]}",
            )
        )
    if held_by_prior:
        lines.append(Content.styled("Some win or lose everything: a weak prior keeps their ratings finite.", "italic"))
    return Content("\n").join(lines)


def _rated(each: Rating) -> str:
    span = "the base" if each.low is None or each.high is None else f"{each.low:+.0f} to {each.high:+.0f}"
    return f"{span} · {counted(each.games, 'test')}"


def _heading(text: str) -> Content:
    return Content.styled(text, "bold $text-accent")
