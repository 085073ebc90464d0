"""Everything that is known of two versions: sources, people against scores, failures by pattern, ratings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from textual.content import Content

from core.prove.breakdown import Part
from core.prove.pooled import Pool, choices_of
from core.prove.rating import Rating
from tui.screens.reading import ReadingScreen
from tui.text import safe
from tui.versions.comparison import ComparisonView
from tui.versions.pair_words import CHOICES
from tui.widgets.interval_bar import scale_lines
from tui.widgets.verdict import decided_by, figures, verdict_line
from tui.words import counted, number, percent

_BAR = 40
_FIGURES = 62  # columns of a line of figures in the table of parts, and what a name beside them needs at least
_DRAWN = 21  # columns of an interval that is drawn in it
_NAME = 24


class AbDetailsScreen(ReadingScreen):
    """Shows a comparison; `name` gives the name of a version."""

    def __init__(self, view: ComparisonView, pool: Pool, parts: Sequence[Part], name: Callable[[int], str]) -> None:
        super().__init__("Everything known of the two", partial(details_content, view, pool, parts, name))


def details_content(
    view: ComparisonView, pool: Pool, parts: Sequence[Part], name: Callable[[int], str], width: int
) -> Content:
    """All of it, in `width` columns."""
    return Content("\n\n").join(
        block
        for block in (
            together(view),
            votes(view, pool),
            forgetting(view.forgotten),
            by_part(parts, width),
            strengths(view.standings.ratings, name, width, held_by_prior=view.standings.held_by_prior),
        )
        if block.plain
    )


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
    lines.append(Content(" · ".join(f"{count} {CHOICES[choice]}" for choice, count in counts.items())))
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
    """Outcomes by category and by pattern of failure, each interval drawn where there is room; a narrow window has
    each name above its figures."""
    if not parts:
        return Content("")
    drawn = width >= _FIGURES + _NAME + _DRAWN + 2
    beside = width - _FIGURES - (_DRAWN + 2 if drawn else 0)
    headers = _part_line("tests", "win rate", "interval", "score", "pass rate")
    headers += f"  {'0 %':<8}50 %{'100 %':>9}" if drawn else ""
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
        if drawn:
            bar = scale_lines(low, high, part.win_rate, width=_DRAWN, span=(0.0, 1.0), marks=((0.5, ""),))[0]
            figures_of += f"  {bar}"
        room = beside if beside >= _NAME else width
        name = safe(part.name, one_line=True).truncate(max(1, room), ellipsis=True)
        lines += [Content(f"{figures_of}  ") + name] if beside >= _NAME else [name, Content(figures_of)]
    return Content("\n").join(lines)


def _part_line(tests: str, win_rate: str, interval: str, score: str, success: str) -> str:
    return f"{tests:>5} {win_rate:>8} {interval:>13} {score:>15} {success:>15}"


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
