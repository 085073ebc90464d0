"""What can be done with a version beside putting it into production: compare it, read what it learned from, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from storage.db import open_store
from storage.rows import VersionRow
from tui.screens.production import ProductionScreen
from tui.screens.reading import ReadingScreen
from tui.versions.version_compare import differences, shared_events
from tui.widgets.text_pane import TextPane
from tui.widgets.version_table import comparison_content

if TYPE_CHECKING:
    from tui.versions.trained_on import TrainedOn
    from tui.versions.views import ModelsView


class VersionVerbs(ProductionScreen):
    """A screen with a version under the cursor, of those in `view`; `marked` is the id of the one to compare with."""

    OFFERED = ProductionScreen.OFFERED | {"models.mark", "models.tests", "models.try", "models.report"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "equals_sign",
            "compare",
            "Compare",
            id="models.compare",
            key_display="=",
            tooltip="This version beside the marked one, else beside what it came from",
        ),
        Binding("e", "examples", "Examples", id="models.examples", tooltip="What it was trained on, one by one"),
        Binding(
            "m", "mark", "Mark", show=False, id="models.mark", tooltip="Mark this version, to compare another with it"
        ),
        Binding("a", "tests", "A/B tests", show=False, id="models.tests", tooltip="Open its test on the scoreboard"),
        Binding("t", "try", "Try", show=False, id="models.try", tooltip="Ask this version something in the playground"),
        Binding(
            "o", "report", "Report", show=False, id="models.report", tooltip="Write one HTML page about this version"
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.view: ModelsView | None = None
        self.marked: int | None = None

    def show_foot(self) -> None:
        """Show which version is marked."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Comparing needs two versions, the examples a version that was trained."""
        if action == "compare":
            return self._other is not None
        if action == "examples":
            return self.subject is not None and self.subject.dataset_id is not None
        if action in ("mark", "tests", "try", "report"):
            return self.subject is not None
        return super().check_action(action, parameters)

    def key_told(self, action: str) -> str:
        """What the keys would do now."""
        version, other = self.subject, self._other
        if version is not None and action == "compare" and other is not None:
            return f"{version.name} beside {other.name}; m marks another one for it"
        return super().key_told(action)

    @property
    def _other(self) -> VersionRow | None:
        """What the version under the cursor is compared with: the marked one, else the one that it came from."""
        version, view = self.subject, self.view
        if version is None or view is None:
            return None
        marked = view.version(self.marked)
        return marked if marked is not None and marked.id != version.id else view.version(version.parent_id)

    def action_mark(self) -> None:
        """Mark the version under the cursor; once more takes the mark away."""
        version = self.subject
        if version is not None:
            self.marked = None if self.marked == version.id else version.id
            self.show_foot()
            self.refresh_bindings()

    def action_compare(self) -> None:
        """Both versions beside each other."""
        one, other, view, home = self._other, self.subject, self.view, self.home
        if one is None or other is None or view is None:
            return

        def read() -> Content:
            with open_store(home.store) as store:
                shared = shared_events(store, one, other)
            return comparison_content((one.name, other.name), differences(one, other, view), shared)

        self.in_background(
            read,
            group="models.compare",
            description="comparing two versions",
            then=self._show_both,
        )

    def _show_both(self, content: Content) -> None:
        self.app.push_screen(ReadingScreen("Two versions", lambda _: content))

    def action_examples(self) -> None:
        """What the version was trained on."""
        version, home = self.subject, self.home
        if version is None:
            return

        def read() -> TrainedOn:
            from tui.versions.trained_on import read_trained_on

            return read_trained_on(home, version)

        def show(found: TrainedOn) -> None:
            from tui.screens.lessons import LessonsScreen

            screen: LessonsScreen = LessonsScreen(version.name, found)
            self.app.push_screen(screen, lambda event: self.finetune.open("review", event=event) if event else None)

        self.in_background(
            read,
            group="models.examples",
            description="reading what a version was trained on",
            then=show,
            pane=self.query_one(TextPane),
        )

    def action_report(self) -> None:
        """Write the report of the version into the exports folder."""
        version, home = self.subject, self.home
        if version is None:
            return
        name = version.name

        def write() -> Path:
            from tui.versions.report_file import write_report

            return write_report(home, name)

        self.in_background(
            write,
            group="models.report",
            description=f"writing the report of {name}",
            then=lambda path: self.finetune.tell(f"{path}\nOpen it in a browser, or send it.", title="Report written"),
        )

    def action_tests(self) -> None:
        """Open the newest test of the version."""
        version = self.subject
        test = self.view.tests.get(version.id) if self.view is not None and version is not None else None
        self.finetune.open("scoreboard", **({"test": test.id} if test is not None else {}))

    def action_try(self) -> None:
        """Ask the version something."""
        version = self.subject
        if version is not None:
            self.finetune.open("playground", version=version.name, category=version.category)
