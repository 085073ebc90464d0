"""The scoreboard: is the candidate better than what serves, by how much, and how sure is that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical

from storage.rows import AbPairRow, AbTestRow, VersionRow
from tui.screens.comparing import ComparingScreen
from tui.tabs import key_of
from tui.text import safe
from tui.versions.views import ScoreboardView, read_scoreboard
from tui.widgets.ab_tables import ORDERS, ComparisonTable, ExampleTable
from tui.widgets.empty import Empty
from tui.widgets.served_line import ServedLine
from tui.widgets.verdict import VerdictPanel

if TYPE_CHECKING:
    from tui.screens.pair import PairLeft
    from tui.versions.comparison import Examples
    from tui.versions.served import Served

_NO_VERSION = ((key_of("train"), "open Train: a run makes a version, and tests it"), ("?", "what every key does"))
_NO_TEST = (("a", "compare the newest version with what serves"), ("?", "what every key does"))


class ScoreboardScreen(ComparingScreen):
    """Tests on top, the verdict of the one under the cursor, and its examples."""

    MODE = "scoreboard"
    HELP = "scoreboard"
    OFFERED = ComparingScreen.OFFERED | {"scoreboard.sort"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False, id="scoreboard.back", tooltip="From the examples to the tests"),
        Binding(
            "f", "sort", "Sort", show=False, id="scoreboard.sort", tooltip="Losses first, votes first, or in order"
        ),
    ]
    DEFAULT_CSS = """
    ScoreboardScreen #ab-body { height: 1fr; }
    ScoreboardScreen #ab-tests { height: 8; padding: 0; }
    ScoreboardScreen.-narrow #ab-tests { height: 5; }
    ScoreboardScreen #ab-lower { layout: horizontal; height: 1fr; }
    ScoreboardScreen.-narrow #ab-lower { layout: vertical; }
    ScoreboardScreen #ab-verdict { width: 62%; min-width: 66; max-width: 76; height: 1fr; }
    ScoreboardScreen.-narrow #ab-verdict { width: 1fr; min-width: 0; max-width: 100%; height: auto; max-height: 11; }
    ScoreboardScreen #ab-pairs { width: 1fr; padding: 0; }
    ScoreboardScreen.-narrow.-examples #ab-tests { display: none; }
    ScoreboardScreen #ab-empty { display: none; }
    ScoreboardScreen.-empty #ab-empty { display: block; }
    ScoreboardScreen.-empty #ab-body { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._wanted: int | None = None
        self._example: int | None = None

    def compose_body(self) -> ComposeResult:
        yield Empty("Nothing has been compared yet.", _NO_TEST, id="ab-empty")
        with Vertical(id="ab-body"):
            yield ComparisonTable(id="ab-tests")
            with Container(id="ab-lower"):
                yield VerdictPanel(id="ab-verdict")
                yield ExampleTable(id="ab-pairs")
        yield ServedLine()

    def on_mount(self) -> None:
        self.query_one("#ab-tests").border_title = "A/B tests"
        self.query_one("#ab-tests").focus()

    # -- what the keys are about

    @property
    def test(self) -> AbTestRow | None:
        """The test under the cursor."""
        return self.query_one(ComparisonTable).selected

    @property
    def subject(self) -> VersionRow | None:
        """The candidate of the test under the cursor; without a test the newest trained version."""
        if self.view is None:
            return None
        test = self.test
        return self.view.versions.get(test.version_b) if test is not None else self.view.candidate

    @property
    def untested(self) -> VersionRow | None:
        """The newest version where it was never compared."""
        candidate = self.view.candidate if self.view is not None else None
        tested = {test.version_b for test in self.view.tests} if self.view is not None else set()
        return candidate if candidate is not None and candidate.id not in tested else None

    @property
    def served(self) -> Served | None:
        """What serves the subject's category."""
        version = self.subject
        return self.view.served.get(version.category) if version is not None and self.view is not None else None

    # -- reading

    def refresh_data(self) -> None:
        """Read the tests again, and the answers of one that is still going."""
        self._wanted = self.take_asked().get("test", self._wanted)
        home = self.home
        first = self.view is None
        self.in_background(
            lambda: read_scoreboard(home),
            group="scoreboard",
            description="reading the A/B tests",
            then=self._show,
            failed=self._failed if first else None,
            pane=self.query_one("#ab-body") if first else None,
            in_turn=True,
        )

    def _failed(self, error: BaseException) -> None:
        lines = [("", str(error)), (key_of("settings"), "open Settings: doctor looks for what is wrong")]
        self.query_one("#ab-empty", Empty).show("The A/B tests cannot be read.", lines)
        self.add_class("-empty")

    def _show(self, view: ScoreboardView) -> None:
        self.view = view
        self.set_class(not view.tests, "-empty")
        table = self.query_one(ComparisonTable)
        table.load(view, follow=bool(self.testing))
        if self._wanted is not None:
            table.go_to(self._wanted)
            self._wanted = None
        self.show_testing()
        self._show_test()

    def show_testing(self) -> None:
        """Show how far a test is: over the list, or where there is no list yet."""
        self.query_one("#ab-tests").border_subtitle = safe(self.testing, one_line=True)
        view = self.view
        if view is not None and not view.tests:
            lines = _NO_TEST if view.candidate is not None else _NO_VERSION
            if self.testing:
                lines = (("x", "stop it; the answers so far are kept"), ("", "both answer the same prompts"))
            self.query_one("#ab-empty", Empty).show(self.testing or "Nothing has been compared yet.", lines)

    def on_comparison_table_moved(self) -> None:
        """Another test is under the cursor."""
        self._show_test()

    def _show_test(self) -> None:
        self.show_verdict()
        self.read_test()
        self.show_served()
        self.refresh_bindings()

    def show_verdict(self) -> None:
        """Show the verdict with what is known by now."""
        test, view, examples = self.test, self.view, self.examples
        if test is not None and view is not None:
            self.query_one(VerdictPanel).show(
                test,
                baseline=view.name(test.version_a),
                candidate=view.name(test.version_b),
                answered=len(examples.pairs) if examples is not None else 0,
                min_win_rate=view.min_win_rate,
                serves=test.version_b in view.production,
                known=self.known,
            )

    def show_examples(self, examples: Examples, *, same: bool) -> None:
        """Show the pairs of the test under the cursor; `same` where it is the one that was shown before."""
        table = self.query_one(ExampleTable)
        table.load(examples, keep_cursor=same or self._example is not None)
        if self._example is not None:
            table.go_to(self._example)
            self._example = None

    def state(self) -> Mapping[str, Any]:
        """The test under the cursor, its example, and the order of these."""
        table = self.query_one(ExampleTable)
        return {
            "test": self.query_one(ComparisonTable).current,
            "example": table.current,
            "order": table.order,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to the test once it is there."""
        wanted, example = state.get("test"), state.get("example")
        self._wanted = wanted if isinstance(wanted, int) else None
        self._example = example if isinstance(example, int) else None
        for order in ORDERS:
            if state.get("order") == order:
                self.query_one(ExampleTable).order = order

    def copyable(self) -> str:
        """The verdict in one sentence, with its reasons."""
        test = self.test
        result = (self.view.pooled.get(test.id) if self.view and test else None) or (test.result if test else None)
        return " ".join([result.get("summary", ""), *result.get("reasons", ())]).strip() if result else ""

    # -- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Sorting needs examples."""
        return self.compared is not None if action == "sort" else super().check_action(action, parameters)

    def action_sort(self) -> None:
        """Sort by the difference of the scores, by votes, or by position."""
        self.query_one(ExampleTable).turn_round()

    def on_descendant_focus(self) -> None:
        """In a small terminal the examples get the room of the tests while one is among them."""
        self.set_class(self.focused is self.query_one(ExampleTable), "-examples")

    def action_back(self) -> None:
        """From the examples back to the tests."""
        self.remove_class("-examples")
        self.query_one(ComparisonTable).focus()

    def on_comparison_table_chosen(self) -> None:
        """Enter on a test goes to its examples."""
        self.query_one(ExampleTable).focus()

    def on_example_table_chosen(self) -> None:
        """Enter on an example opens it."""
        from tui.screens.pair import PairScreen
        from tui.versions.pair_reading import read_findings

        test, examples, table, home = self.test, self.examples, self.query_one(ExampleTable), self.home
        if test is None or examples is None or table.current is None:
            return
        shown = table.shown
        names = self.version_name(test.version_a), self.version_name(test.version_b)
        screen: PairScreen = PairScreen(
            shown, table.cursor, examples.votes, names, lambda pair: read_findings(home, test.category, pair)
        )
        self.app.push_screen(screen, lambda left: self._back_from(shown, left))

    def _back_from(self, shown: Sequence[AbPairRow], left: PairLeft | None) -> None:
        if left is None:
            return
        self.query_one(ExampleTable).go_to(shown[left.index].position)
        if left.event is not None:
            self.finetune.open("review", event=left.event)
