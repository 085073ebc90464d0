"""The registry: versions as a lineage, and everything that is known of the one under the cursor."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Static

from storage.rows import VersionRow
from tui.screens.production import ProductionScreen
from tui.text import safe
from tui.views import ModelsView, read_models
from tui.widgets.empty import Empty
from tui.widgets.lineage import LineageTree, lineage
from tui.widgets.version_details import details, short_figures
from tui.words import data_size

_NOTHING = (
    ("3", "open Train and start a run: it makes the first version"),
    ("?", "what every key does"),
)


class ModelsScreen(ProductionScreen):
    """Lineage on the left, the version's details on the right."""

    MODE = "models"
    HELP = "models"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "compare", "A/B tests", id="models.compare", tooltip="Open the scoreboard"),
    ]
    DEFAULT_CSS = """
    ModelsScreen #models-tree { width: 46; }
    ModelsScreen.-narrow #models-tree { width: 38; }
    ModelsScreen #models-details { width: 1fr; scrollbar-size-vertical: 1; }
    ModelsScreen #models-details Static { height: auto; }
    ModelsScreen #models-empty { display: none; }
    ModelsScreen.-empty #models-empty { display: block; }
    ModelsScreen.-empty #models-body { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._view: ModelsView | None = None
        self._under_way_told = ""

    def compose_body(self) -> ComposeResult:
        yield Empty("No model has been trained yet.", _NOTHING, id="models-empty")
        with Horizontal(id="models-body"):
            yield LineageTree(id="models-tree")
            with VerticalScroll(id="models-details", classes="pane"):
                yield Static(id="models-text")

    def on_mount(self) -> None:
        self.query_one("#models-details").border_title = "Version"
        self.query_one(LineageTree).focus()

    @property
    def subject(self) -> VersionRow | None:
        """The version under the cursor."""
        return self._view.version(self.query_one(LineageTree).selected_id) if self._view is not None else None

    @property
    def in_production(self) -> bool:
        """Whether the category of that version has an alias."""
        version = self.subject
        return version is not None and self._view is not None and self._view.alias_of(version.category) is not None

    def refresh_data(self) -> None:
        """Read the registry again."""
        home = self.home
        first = self._view is None
        self.in_background(
            lambda: read_models(home),
            group="models",
            description="reading the registry",
            then=self._show,
            failed=self._failed if first else None,
            pane=self.query_one("#models-body") if first else None,
            in_turn=True,
        )

    def _failed(self, error: BaseException) -> None:
        self.query_one("#models-empty", Empty).show("The registry cannot be read.", [("", str(error))])
        self.add_class("-empty")

    def _show(self, view: ModelsView) -> None:
        same = self._view == view
        self._view = view
        self.set_class(not view.versions, "-empty")
        if not view.versions:
            self.query_one("#models-empty", Empty).show("No model has been trained yet.", _NOTHING)
        if not same:
            self.query_one(LineageTree).show(lineage(view.versions), view.production, short_figures)
        self._show_foot()
        self._show_details()

    def on_lineage_tree_selected(self) -> None:
        """Another version is under the cursor."""
        self.query_one("#models-details").scroll_home(animate=False)
        self._show_details()

    def _show_details(self) -> None:
        version = self.subject
        if version is not None and self._view is not None:
            self.query_one("#models-details").border_title = safe(version.name)
            self.query_one("#models-text", Static).update(details(version, self._view, now=time.time()))
        self.refresh_bindings()

    def tell_change(self, text: str) -> None:
        """Below the versions; else how much disk they take."""
        self._under_way_told = text
        self._show_foot()

    def _show_foot(self) -> None:
        used = f"{data_size(self._view.disk)} on the disk" if self._view is not None else ""
        self.query_one(LineageTree).border_subtitle = safe(self._under_way_told or used, one_line=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Comparing needs a version."""
        if action == "compare":
            return self.subject is not None
        return super().check_action(action, parameters)

    def action_compare(self) -> None:
        """Open the scoreboard."""
        self.app.switch_mode("scoreboard")
