"""One example of an A/B test: both answers side by side where there is room, who won by score and by vote, findings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Footer, Static

from storage.ab_votes import AbVoteRow
from storage.rows import AbPairRow
from tui.screens.reading import ReadingScreen
from tui.screens.run_modal import RunModal
from tui.text import safe
from tui.versions.pair_reading import PairFindings, decision
from tui.versions.pair_words import findings_in_full, findings_line, outcome
from tui.widgets.two_answers import Side, TwoAnswers
from tui.words import counted, duration, number


@dataclass(frozen=True, slots=True)
class PairLeft:
    """What the screen was left with: the index of the pair that was shown last, and the event to open in review."""

    index: int
    event: int | None = None


class PairScreen(RunModal[PairLeft | None]):
    """Shows the example at `index` of `pairs`; `votes` are those in force by position, `names` those of the versions,
    and `look` reads in a thread what is found in both answers of a pair."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Back", id="example.close", tooltip="Back to the list of examples"),
        Binding("n,right,l", "go(1)", "Next", id="example.next", tooltip="The next example"),
        Binding("p,left,h", "go(-1)", "Previous", id="example.previous", tooltip="The example before"),
        Binding("w", "findings", "Findings", id="example.findings", tooltip="Every finding in both answers"),
        Binding("e", "event", "Open event", id="example.event", tooltip="Show in Review the event of this prompt"),
    ]
    DEFAULT_CSS = """
    PairScreen #pair-head { height: auto; padding: 0 1; }
    PairScreen #pair-findings { height: 2; padding: 0 1; }
    """

    def __init__(
        self,
        pairs: Sequence[AbPairRow],
        index: int,
        votes: Mapping[int, Sequence[AbVoteRow]],
        names: tuple[str, str],
        look: Callable[[AbPairRow], PairFindings],
    ) -> None:
        super().__init__()
        self._pairs, self._index, self._votes = pairs, index, votes
        self._names, self._look = names, look
        self._found = PairFindings()

    def compose(self) -> ComposeResult:
        """Outcome over the prompt over both answers over what is found in them."""
        yield Static(id="pair-head")
        yield TwoAnswers(id="pair-answers")
        yield Static(id="pair-findings")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the first one."""
        self.query_one(TwoAnswers).focus()
        self._show()

    @property
    def pair(self) -> AbPairRow:
        """What is shown."""
        return self._pairs[self._index]

    def _show(self) -> None:
        pair = self.pair
        votes = self._votes.get(pair.position, ())
        place = f"Example {self._index + 1:,} of {len(self._pairs):,} · "
        told = outcome(pair, decision(pair, votes), votes, time.time())
        self.query_one("#pair-head", Static).update(Content.assemble((place, "$text-muted"), told))
        baseline, candidate = self._names
        self.query_one(TwoAnswers).show(
            pair.prompt,
            Side(pair.response_a, f"Baseline: {baseline}", _note(pair, pair.score_a, pair.latency_a, pair.tokens_a)),
            Side(pair.response_b, f"Candidate: {candidate}", _note(pair, pair.score_b, pair.latency_b, pair.tokens_b)),
        )
        self._found = PairFindings()
        self.query_one("#pair-findings", Static).update(Content.styled("looking for findings…", "$text-muted"))
        look = self._look
        self.in_background(
            lambda: (pair, look(pair)), group="looking at two answers", then=self._take, failed=self._not_found
        )
        self.refresh_bindings()

    def _take(self, found: tuple[AbPairRow, PairFindings]) -> None:
        if found[0] is self.pair:
            self._found = found[1]
            self.query_one("#pair-findings", Static).update(findings_line(found[1]))
            self.refresh_bindings()

    def _not_found(self, error: BaseException) -> None:
        self.query_one("#pair-findings", Static).update(
            safe(f"findings: the validator failed: {error}", "$text-warning", one_line=True, limit=300)
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing before the first example or after the last."""
        if action == "go":
            return 0 <= self._index + int(str(parameters[0])) < len(self._pairs) or None
        if action == "findings":
            return bool(self._found.baseline or self._found.candidate) or None
        if action == "event":
            return self.pair.event_id is not None or None
        return True

    def action_go(self, steps: int) -> None:
        """Show another example."""
        self._index += steps
        self._show()

    def action_findings(self) -> None:
        """Every finding, to read."""
        told = findings_in_full(self._found, self._names)
        self.app.push_screen(ReadingScreen("What the validator finds", lambda _: told))

    def action_event(self) -> None:
        """Leave for the event that the prompt is from."""
        self.dismiss(PairLeft(self._index, self.pair.event_id))

    def copyable(self) -> str:
        """The answers in front."""
        return self.query_one(TwoAnswers).front

    def action_close(self) -> None:
        """Back to the list, to what was shown last."""
        self.dismiss(PairLeft(self._index))


def _note(pair: AbPairRow, score: float, latency: float, tokens: int) -> str:
    told = f"score {number(score)}" if pair.judged else "not judged"
    return f"{told} · {duration(latency)} · {counted(tokens, 'token')}"
