"""The scoreboard: is the candidate better than what serves, by how much, and how sure is that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.worker import get_current_worker

from storage.rows import AbPairRow, AbTestRow, VersionRow
from tui.messages import AbProgress
from tui.screens.knowing import KnowingScreen
from tui.screens.pair import PairScreen
from tui.text import safe
from tui.views import ScoreboardView, read_scoreboard
from tui.widgets.ab_tables import ComparisonTable, ExampleTable
from tui.widgets.empty import Empty
from tui.widgets.verdict import VerdictPanel

if TYPE_CHECKING:
    from tui.comparison import ComparisonView

_NO_VERSION = (("3", "open Train: a run makes a version, and tests it"), ("?", "what every key does"))
_NO_TEST = (("a", "compare the newest version with what serves"), ("?", "what every key does"))


class _Left(Exception):
    """The app is closing; the answers so far are kept, and the test goes on from there when it is asked for again."""


class ScoreboardScreen(KnowingScreen):
    """Tests on top, the verdict of the one under the cursor, and its examples."""

    MODE = "scoreboard"
    HELP = "scoreboard"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "test", "A/B test", id="scoreboard.test", tooltip="Compare the version with what serves today"),
        Binding("escape", "back", "Back", show=False, id="scoreboard.back", tooltip="From the examples to the tests"),
        Binding("f", "first_losses", "Losses", id="scoreboard.losses", tooltip="Losses first, or in order"),
    ]
    DEFAULT_CSS = """
    ScoreboardScreen #ab-tests { height: 7; padding: 0; }
    ScoreboardScreen.-narrow #ab-tests { height: 5; }
    ScoreboardScreen #ab-lower { layout: horizontal; height: 1fr; }
    ScoreboardScreen.-narrow #ab-lower { layout: vertical; }
    ScoreboardScreen #ab-verdict { width: 62%; min-width: 66; max-width: 76; height: 1fr; }
    ScoreboardScreen.-narrow #ab-verdict { width: 1fr; min-width: 0; max-width: 100%; height: auto; max-height: 12; }
    ScoreboardScreen #ab-pairs { width: 1fr; padding: 0; }
    ScoreboardScreen.-narrow.-examples #ab-tests { display: none; }
    ScoreboardScreen #ab-empty { display: none; }
    ScoreboardScreen.-empty #ab-empty { display: block; }
    ScoreboardScreen.-empty #ab-body { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._view: ScoreboardView | None = None
        self._pairs: Sequence[AbPairRow] = ()
        self._known: ComparisonView | None = None
        self._pairs_of: tuple[int, bool] | None = None
        self._testing = ""

    def compose_body(self) -> ComposeResult:
        yield Empty("Nothing has been compared yet.", _NO_TEST, id="ab-empty")
        with Vertical(id="ab-body"):
            yield ComparisonTable(id="ab-tests")
            with Container(id="ab-lower"):
                yield VerdictPanel(id="ab-verdict")
                yield ExampleTable(id="ab-pairs")

    def on_mount(self) -> None:
        self.query_one("#ab-tests").border_title = "A/B tests"
        self.query_one("#ab-pairs").border_title = "Examples"
        self.query_one("#ab-tests").focus()

    # -- reading

    @property
    def _test(self) -> AbTestRow | None:
        return self.query_one(ComparisonTable).selected

    @property
    def subject(self) -> VersionRow | None:
        """The candidate of the test under the cursor; without a test the newest trained version."""
        if self._view is None:
            return None
        test = self._test
        return self._view.versions.get(test.version_b) if test is not None else self._view.candidate

    @property
    def compared(self) -> AbTestRow | None:
        """The test under the cursor, once its answers were read."""
        return self._test if self._pairs else None

    @property
    def known(self) -> ComparisonView | None:
        """What is known of its versions."""
        return self._known

    def version_name(self, version_id: int) -> str:
        """A version's name."""
        return self._view.name(version_id) if self._view is not None else f"version {version_id}"

    def read_again(self) -> None:
        """Read the tests again, and the answers of the one under the cursor."""
        self._pairs_of = None
        self.refresh_data()

    @property
    def in_production(self) -> bool:
        """Whether the subject's category has an alias."""
        version = self.subject
        rows = self._view.versions if self._view is not None else {}
        serving = {rows[one].category for one in (self._view.production if self._view else {}) if one in rows}
        return version is not None and version.category in serving

    def refresh_data(self) -> None:
        """Read the tests again, and the answers of one that is still going."""
        home = self.home
        first = self._view is None
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
        self.query_one("#ab-empty", Empty).show("The A/B tests cannot be read.", [("", str(error))])
        self.add_class("-empty")

    def _show(self, view: ScoreboardView) -> None:
        self._view = view
        self.set_class(not view.tests, "-empty")
        if not view.tests:
            lines = _NO_TEST if view.candidate is not None else _NO_VERSION
            self.query_one("#ab-empty", Empty).show(self._testing or "Nothing has been compared yet.", lines)
        self.query_one(ComparisonTable).load(view, follow=bool(self._testing))
        self._show_test()

    def on_comparison_table_moved(self) -> None:
        """Another test is under the cursor."""
        self._show_test()

    def _show_test(self) -> None:
        test, view = self._test, self._view
        if test is not None and view is not None:
            self._show_verdict(test, view)
            wanted = (test.id, test.result is not None)
            if wanted != self._pairs_of or test.result is None:
                self._read_pairs(test, wanted)
        self.refresh_bindings()

    def _show_verdict(self, test: AbTestRow, view: ScoreboardView) -> None:
        read = self._pairs_of is not None and self._pairs_of[0] == test.id
        self.query_one(VerdictPanel).show(
            test,
            baseline=view.name(test.version_a),
            candidate=view.name(test.version_b),
            answered=len(self._pairs) if read else 0,
            min_win_rate=view.min_win_rate,
            serves=test.version_b in view.production,
            known=self._known if read else None,
        )

    def _read_pairs(self, test: AbTestRow, wanted: tuple[int, bool]) -> None:
        home = self.home

        def read() -> tuple[tuple[int, bool], ComparisonView]:
            from tui.comparison import read_comparison

            return wanted, read_comparison(home, test)

        self.in_background(
            read,
            group="scoreboard.pairs",
            description="reading the examples of a test",
            then=self._show_pairs,
            in_turn=True,
        )

    def _show_pairs(self, found: tuple[tuple[int, bool], ComparisonView]) -> None:
        wanted, known = found
        test = self._test
        if test is None or test.id != wanted[0]:
            return
        same = self._pairs_of is not None and self._pairs_of[0] == test.id
        self._pairs_of, self._pairs, self._known = wanted, known.pairs, known
        self.query_one(ExampleTable).load(known.pairs, keep_cursor=same)
        if self._view is not None:
            self._show_verdict(test, self._view)
        self.refresh_bindings()

    # -- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One test at a time; sorting needs examples."""
        if action == "test":
            return self.subject is not None and not self._testing
        if action == "first_losses":
            return bool(self._pairs)
        return super().check_action(action, parameters)

    def action_test(self) -> None:
        """Compare the newest version that was not compared yet, else the one under the cursor, with what serves."""
        version = self._untested or self.subject
        if version is None:
            return
        home, chosen = self.home, version.id

        def compare() -> None:
            from core.loop import LearningLoop

            worker = get_current_worker()

            def progress(done: int, total: int) -> None:
                if worker.is_cancelled:
                    raise _Left
                self.post_message(AbProgress(done, total))

            with LearningLoop(home) as loop:
                loop.ab(chosen, progress=progress)

        self._tell_testing(f"Comparing {version.name} with what serves…")
        self.in_background(
            compare,
            group="scoreboard.test",
            description=f"comparing {version.name}",
            then=lambda _: self._tested(),
            failed=self._test_failed,
        )

    @property
    def _untested(self) -> VersionRow | None:
        candidate = self._view.candidate if self._view is not None else None
        tested = {test.version_b for test in self._view.tests} if self._view is not None else set()
        return candidate if candidate is not None and candidate.id not in tested else None

    def _tell_testing(self, text: str) -> None:
        self._testing = text
        self.query_one("#ab-tests").border_subtitle = safe(text, one_line=True)
        if text and self.has_class("-empty"):
            self.query_one("#ab-empty", Empty).show(text, [("", "both answer the same prompts; this may take minutes")])
        self.refresh_bindings()

    def on_ab_progress(self, event: AbProgress) -> None:
        """Both arms have answered one more prompt."""
        self._tell_testing(f"Comparing: {event.done} of {event.total} prompts answered")

    def _tested(self) -> None:
        self._tell_testing("")
        self.refresh_data()

    def _test_failed(self, error: BaseException) -> None:
        self._tell_testing("")
        if not isinstance(error, _Left):
            self.finetune.report(error, "comparing two versions")
        self.refresh_data()

    def action_first_losses(self) -> None:
        """Sort by the difference of the scores, or by position."""
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
        test, view, table = self._test, self._view, self.query_one(ExampleTable)
        if test is None or view is None:
            return
        shown = table.shown
        self.app.push_screen(
            PairScreen(shown, table.cursor, view.name(test.version_a), view.name(test.version_b)),
            lambda index: self._back_from(shown, index),
        )

    def _back_from(self, shown: Sequence[AbPairRow], index: int | None) -> None:
        if index is not None:
            self.query_one(ExampleTable).go_to(shown[index].position)
