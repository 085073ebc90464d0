"""The outcome of an A/B test: verdict in words, both arms' figures, and the intervals drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from storage.rows import AbTestRow
from tui.text import safe
from tui.widgets.interval_bar import IntervalBar
from tui.words import VERDICT_GLYPHS, counted, number, odds, percent, signed

if TYPE_CHECKING:
    from tui.versions.comparison import ComparisonView

_SENTENCES: Final = {
    "promote": "Promote: the candidate is better.",
    "keep": "Keep what serves: the candidate is not better.",
    "need more data": "Need more data before this can be told.",
}
_SERVING: Final = {
    "promote": "The candidate is better, and serves.",
    "keep": "The candidate is not better, but serves: r rolls it back.",
    "need more data": "It serves, but need more data before this can be told.",
}
_COLOURS: Final = {"promote": "$text-success", "keep": "$text-error", "need more data": "$text-warning"}


class VerdictPanel(Vertical):
    """One A/B test. The bar shows the win rate with its interval against 50 % and the rate that is asked for."""

    DEFAULT_CSS = """
    VerdictPanel { height: auto; }
    VerdictPanel Static { height: auto; }
    VerdictPanel IntervalBar { display: none; max-width: 72; }
    VerdictPanel.-judged IntervalBar { display: block; }
    VerdictPanel #verdict-reasons { color: $text-muted; }
    VerdictPanel #verdict-known { color: $text-accent; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="pane")
        self.border_title = "Verdict"
        self.border_subtitle = "d details"

    def compose(self) -> ComposeResult:
        """Verdict, arms, win rate with its bar, difference and costs, reasons."""
        yield Static(id="verdict-line")
        yield Static(id="verdict-arms")
        yield IntervalBar(span=(0.0, 1.0), marks=(), id="verdict-bar")
        yield Static(id="verdict-known")
        yield Static(id="verdict-figures")
        yield Static(id="verdict-reasons")

    def show(
        self,
        test: AbTestRow,
        *,
        baseline: str,
        candidate: str,
        answered: int,
        min_win_rate: float,
        serves: bool = False,
        known: ComparisonView | None = None,
    ) -> None:
        """Show a test; `answered` counts the prompts that both arms have answered so far, `serves` tells whether the
        candidate is in production.

        `known` is what is known of the two versions beyond it; where votes or shadowed requests have a say, the figures
        are those of everything together.
        """
        result = (known.beyond(test) if known is not None else None) or test.result
        beyond = known_lines(known, test)
        self.query_one("#verdict-known", Static).update(beyond)
        self.query_one("#verdict-known", Static).display = bool(beyond.plain)
        self.query_one("#verdict-line", Static).update(verdict_line(result, answered, serves=serves))
        self.query_one("#verdict-arms", Static).update(arms(result, baseline, candidate))
        interval = _interval(result, "interval")
        self.set_class(interval is not None, "-judged")
        if result is not None and interval is not None:
            asked = f"{percent(min_win_rate)} asked"
            marks = ((0.5, "50 %"), (min_win_rate, asked), (0.0, "0 %"), (1.0, "100 %"))
            self.query_one("#verdict-bar", IntervalBar).show(*interval, float(result.get("win_rate", 0.0)), marks=marks)
        self.query_one("#verdict-figures", Static).update(figures(result))
        reasons = () if result is None else result.get("reasons") or ()
        self.query_one("#verdict-reasons", Static).update(Content("\n").join(safe(f"· {reason}") for reason in reasons))


def verdict_line(result: Mapping[str, Any] | None, answered: int, *, serves: bool = False) -> Content:
    """The verdict in words, by whether the candidate `serves` already; where it is not told yet, with how many more
    prompts it would take."""
    if result is None:
        so_far = f"● unfinished: {counted(answered, 'prompt')} answered so far. A run at work ends it, else a does."
        return Content.styled(so_far, "bold $text-primary")
    verdict = str(result.get("verdict", ""))
    sentence = (_SERVING if serves else _SENTENCES).get(verdict, "")
    text = f"{VERDICT_GLYPHS.get(verdict, '·')} {sentence}".strip()
    more = result.get("more")
    if verdict == "need more data" and isinstance(more, (int, float)) and more > 0:
        text += f" About {counted(int(more), 'more prompt')} would do."
    return Content.styled(text, f"bold {_COLOURS.get(verdict, '')}".strip())


def arms(result: Mapping[str, Any] | None, baseline: str, candidate: str) -> Content:
    """A line for each arm: its name, mean score and pass rate."""
    lines = []
    width = max(len(baseline), len(candidate))
    for letter, role, name in (("a", "baseline", baseline), ("b", "candidate", candidate)):
        line = Content.assemble((f"{role:<9} ", "$text-muted"), safe(f"{name:<{width}}"))
        if result is not None:
            score, success = result.get(f"score_{letter}"), result.get(f"success_{letter}")
            line = Content.assemble(line, f"  mean score {number(score):>5}  pass rate {percent(success):>5}")
        lines.append(line)
    return Content("\n").join(lines)


def figures(result: Mapping[str, Any] | None) -> Content:
    """Win rate, counts, difference, evidence and costs in words."""
    if result is None:
        return Content("")
    count = int(result.get("n", 0))
    lines = [
        f"win rate {percent(result.get('win_rate'), 1)}{_range(result, 'interval', scale=100, form='.1f', unit=' %')}"
        f" · {result.get('wins', 0)} won, {result.get('losses', 0)} lost, {result.get('ties', 0)} tied of {count}"
        f"{f', {unjudged} not judged' if (unjudged := result.get('not_judged')) else ''}",
        f"score difference {signed(result.get('difference'))}{_range(result, 'difference_interval', form='+.1f')}"
        f" · evidence {odds(result.get('evidence'))}",
        f"latency × {number(result.get('latency_ratio'), 2)} · answer length × {number(result.get('length_ratio'), 2)}",
    ]
    if result.get("known_answers"):
        lines.append(f"right answers {percent(result.get('accuracy_a'))} → {percent(result.get('accuracy_b'))}")
    if result.get("confidence_a") is not None and result.get("confidence_b") is not None:
        before, after = number(result["confidence_a"], 2), number(result["confidence_b"], 2)
        lines.append(f"confidence {before} → {after} (mean log-probability of a token)")
    return Content("\n".join(lines))


def known_lines(known: ComparisonView | None, test: AbTestRow) -> Content:
    """Who has decided where it was not the scores of one test alone, the candidate's rating among three versions and
    more, and what it has forgotten; nothing where there is nothing to tell."""
    if known is None:
        return Content("")
    lines: list[Content] = []
    if (together := known.beyond(test)) is not None:
        counts, agreement = together["sources"], together["agreement"]
        told = decided_by(counts)
        if agreement["n"]:
            told += f"; people agree with {percent(agreement['share'])} of the scores"
        lines.append(Content(told))
    rating = next((each for each in known.standings.ratings if each.version == test.version_b), None)
    if rating is not None and rating.elo is not None and rating.low is not None and len(known.standings.ratings) > 2:
        span = f"({rating.low:+.0f} to {rating.high:+.0f})"
        lines.append(Content(f"rating {rating.elo:+.0f} Elo over the base {span}"))
    lines += [Content.styled("✗ ", "$text-error") + safe(text) for text in known.forgotten]
    return Content("\n").join(lines)


def decided_by(counts: Mapping[str, int]) -> str:
    """Where the outcomes are from; sources that have given none go without saying."""
    parts = (("votes", "vote"), ("stored", "stored prompt"), ("shadow", "shadowed request"))
    told = ", ".join(counted(counts[key], noun) for key, noun in parts if counts[key])
    unjudged = f"; {counts['not_judged']} not judged" if counts["not_judged"] else ""
    return f"decided by {told or 'nothing yet'}{unjudged}"


def _interval(result: Mapping[str, Any] | None, key: str) -> tuple[float, float] | None:
    value = None if result is None else result.get(key)
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(end, (int, float)) for end in value):
        return float(value[0]), float(value[1])
    return None


def _range(result: Mapping[str, Any], key: str, *, form: str, scale: float = 1, unit: str = "") -> str:
    ends = _interval(result, key)
    return "" if ends is None else f" ({ends[0] * scale:{form}} to {ends[1] * scale:{form}}{unit})"
