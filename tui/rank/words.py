"""What the rank screen says: its status line, what is revealed after an answer, an order, a line of the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final, Literal

from textual.content import Content

from core.select.preference.agenda import PromptRanking, State
from core.select.preference.ranking import Question
from storage.comparisons import Choice, ComparisonRow
from storage.rows import EventRow
from tui.rank.reading import Book, Entry, Figures
from tui.tabs import key_of
from tui.text import safe
from tui.words import counted, number, percent

Said = Literal["left", "right", "tie", "both_good", "both_bad", "skip"]

SAID: Final[Mapping[Said, str]] = {
    "left": "left is better",
    "right": "right is better",
    "tie": "no difference",
    "both_good": "both good",
    "both_bad": "both bad",
    "skip": "skipped",
}
_STATES: Final[Mapping[State, str]] = {"new": "○", "begun": "◐", "ranked": "✓"}
_VERDICTS: Final = {
    "good": "✓ good",
    "bad": "✗ bad",
    "correct": "✎ corrected",
    "reject": "✗ rejected",
    "skip": "skipped",
}
_PLACE: Final = 3
_NAME: Final = 40


def status(category: str, asked: PromptRanking | None, left: str, figures: Figures, note: str) -> Content:
    """Where one is: category, question, prompts to go, pairs, and how far the person agrees with themselves."""
    parts = [safe(category, "bold", one_line=True, limit=_NAME)]
    if note:
        parts.append(safe(note, "$text-accent", one_line=True, limit=120))
    if asked is not None and asked.question is not None:
        about = f"of {asked.about}" if asked.about == 1 else f"of about {asked.about}"
        parts.append(Content(f"question {asked.number} {about}"))
    parts.append(Content(f"{left} to rank"))
    if figures.comparisons:
        pairs = counted(figures.pairs, "pair")
        parts.append(Content(f"{pairs} from {counted(figures.comparisons, 'comparison')}"))
    parts += _agreement(figures)
    return Content(" · ").join(parts)


def _agreement(figures: Figures) -> list[Content]:
    own = figures.own
    if own is None:
        return []
    told: list[Content] = []
    if own.repeats:
        told.append(Content(f"you agree with yourself {own.agreed} of {own.repeats} times"))
    if own.circular:
        told.append(Content.styled(f"{percent(own.transitivity)} without circles", "$text-warning"))
    elif own.triads >= _PLACE:
        told.append(Content("no circles"))
    return told


def choice_of(question: Question, said: Said) -> Choice:
    """What a vote for a side of the screen says of the two events."""
    return question.prefers(said) if said in ("left", "right") else said  # type: ignore[return-value]


def revealed(asked: PromptRanking, question: Question, said: Said) -> Content:
    """What was said, and whose answers these were; not while other questions about the same answers are open."""
    if said == "skip":
        return Content("Skipped. ") + Content.styled("It is not asked again.", "$text-muted")
    told = Content.assemble("You said: ", (SAID[said], "bold"))
    if asked.question is not None and asked.again is None:
        return told + Content.styled(". Whose they are is told when the prompt is ranked.", "$text-muted")
    left, right = asked.answers[question.left], asked.answers[question.right]
    sides = [Content(": left was "), who(left), Content(", right was "), who(right)]
    swapped = "; sides swapped" if question.swapped else "; sides not swapped"
    return told + Content("").join(sides) + _scores(left, right, said) + Content.styled(f"{swapped}.", "$text-muted")


def _scores(left: EventRow, right: EventRow, said: Said) -> Content:
    if left.score is None or right.score is None:
        return Content("")
    told = "left" if left.score > right.score else "right" if left.score < right.score else "tie"
    if told == "tie":
        return Content("; the scores see no difference")
    if said == told:
        return Content.styled("; ✓ the scores agree", "$text-success")
    return Content.styled(f"; ≠ the scores say {told}", "$text-warning")


def who(event: EventRow) -> Content:
    """Model, score and verdict of an answer."""
    parts = [safe(event.model or "?", "bold", one_line=True, limit=_NAME)]
    if event.score is not None:
        parts.append(Content(f"score {number(event.score)}"))
    if event.verdict is not None:
        parts.append(Content(_VERDICTS.get(event.verdict, event.verdict)))
    return parts[0] + (Content(" (") + Content(", ").join(parts[1:]) + Content(")") if parts[1:] else Content(""))


def short_order(order: Sequence[Sequence[EventRow]]) -> Content:
    """An order in one line: best ≻ worst, equals with `=`."""
    groups = [Content(" = ").join(who(event) for event in group) for group in order]
    return Content.styled("✓ Ranked: ", "bold $text-success") + Content(" ≻ ").join(groups)


def whole_order(asked: PromptRanking) -> Content:
    """The prompt and its answers, the best first, with whose they are."""
    first = next(chain.from_iterable(asked.order))
    parts = [Content.styled("Prompt", "bold $text-accent"), safe(first.prompt), Content("")]
    for place, group in enumerate(asked.order, 1):
        for event in group:
            equal = Content.styled("  (as good as the other of this place)" if len(group) > 1 else "", "$text-muted")
            parts.append(Content.assemble((f"{place}. ", "bold $text-accent"), who(event), equal))
            parts += [safe(event.response, limit=4_000), Content("")]
    return Content("\n").join(parts)


def entry_line(entry: Entry, width: int) -> Content:
    """One line of the list: where the prompt stands, how many answers it has, and its text."""
    style = "$text-success" if entry.state == "ranked" else "$text-primary" if entry.state == "begun" else ""
    head = Content.assemble((_STATES[entry.state], style), (f" {entry.answers:>2} ", "$text-muted"))
    return head + safe(entry.event.prompt, one_line=True, limit=max(20, width))


def nothing(book: Book, text: str, ranked_too: bool) -> tuple[str, list[tuple[str, str]]] | None:
    """What is missing where nothing is to be asked, and the keys that bring it; None where something is."""
    answer = ("n", "lets a model answer prompts again, so that there is something to compare")
    other = [("c", "goes to another category")] if len(book.categories) > 1 else []
    if not book.categories:
        return "Nothing is recorded yet.", [(key_of("dashboard"), "shows how to begin")]
    if text and not book.order:
        return "No prompt with several answers has these words.", [("/", "searches for others"), ("esc", "clears them")]
    if not len(book.agenda):
        return f"No prompt of {book.category} has two different answers yet.", [answer, *other]
    if ranked_too or next(book.agenda.open(book.order), None) is not None:
        return None
    ranked = f"All {counted(len(book.agenda), 'prompt')} with several answers are ranked."
    return ranked, [answer, ("f", "lists the ranked ones"), ("u", "takes the last answer back"), *other]


def turned(row: ComparisonRow | None, back: bool) -> str:
    """What an undo or redo did."""
    word = "taken back" if back else "restored"
    if row is None:
        return f"Nothing is left to be {word}."
    said = {"first": "one is better", "second": "one is better"}.get(row.choice) or SAID[row.choice]  # type: ignore[index]
    return f"↶ {word}: {said}." if back else f"↷ {word}: {said}."
