"""The registry: versions as a lineage, and everything that is known of the one under the cursor."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Static

from storage.rows import VersionRow
from tui.screens.version_verbs import VersionVerbs
from tui.tabs import key_of
from tui.text import safe
from tui.versions.views import ModelsView, read_models
from tui.widgets.empty import Empty
from tui.widgets.lineage import LineageTree, lineage
from tui.widgets.served_line import ServedLine
from tui.widgets.text_pane import TextPane
from tui.widgets.version_details import details, disk_line, short_figures

if TYPE_CHECKING:
    from tui.versions.served import Served

_NOTHING = (
    (key_of("train"), "open Train and start a run: it makes the first version"),
    ("?", "what every key does"),
)


class ModelsScreen(VersionVerbs):
    """Lineage on the left or on top, the version's details beside or below it."""

    MODE = "models"
    HELP = "models"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False, id="models.back", tooltip="From the details to the versions"),
    ]
    DEFAULT_CSS = """
    ModelsScreen #models-body { layout: horizontal; height: 1fr; }
    ModelsScreen.-narrow #models-body { layout: vertical; }
    ModelsScreen #models-tree { width: 46; }
    ModelsScreen.-narrow #models-tree { width: 1fr; height: auto; max-height: 8; }
    ModelsScreen.-narrow.-reading #models-tree { display: none; }
    ModelsScreen #models-details { width: 1fr; height: 1fr; }
    ModelsScreen #models-empty { display: none; }
    ModelsScreen.-empty #models-empty { display: block; }
    ModelsScreen.-empty #models-body { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._wanted: int | None = None

    def compose_body(self) -> ComposeResult:
        yield Empty("No model has been trained yet.", _NOTHING, id="models-empty")
        with Container(id="models-body"):
            yield LineageTree(id="models-tree")
            with TextPane(id="models-details", classes="pane"):
                yield Static(id="models-text")
        yield ServedLine()

    def on_mount(self) -> None:
        self.query_one("#models-details").border_title = "Version"
        self.query_one(LineageTree).focus()

    @property
    def subject(self) -> VersionRow | None:
        """The version under the cursor."""
        return self.view.version(self.query_one(LineageTree).selected_id) if self.view is not None else None

    @property
    def served(self) -> Served | None:
        """What serves the category of that version."""
        version = self.subject
        return self.view.served.get(version.category) if version is not None and self.view is not None else None

    def refresh_data(self) -> None:
        """Read the registry again."""
        self._wanted = self.take_asked().get("version", self._wanted)
        home = self.home
        first = self.view is None
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
        lines = [("", str(error)), (key_of("settings"), "open Settings: doctor looks for what is wrong")]
        self.query_one("#models-empty", Empty).show("The registry cannot be read.", lines)
        self.add_class("-empty")

    def _show(self, view: ModelsView) -> None:
        same = self.view == view
        self.view = view
        self.set_class(not view.versions, "-empty")
        if not view.versions:
            self.query_one("#models-empty", Empty).show("No model has been trained yet.", _NOTHING)
        tree = self.query_one(LineageTree)
        if not same:
            tree.show(lineage(view.versions), view.production, short_figures)
        if self._wanted is not None:
            tree.select(self._wanted)
            self._wanted = None
        self.show_foot()
        self._show_details()

    def on_lineage_tree_selected(self) -> None:
        """Another version is under the cursor."""
        self.query_one("#models-details").scroll_home(animate=False)
        self._show_details()

    def _show_details(self) -> None:
        version = self.subject
        if version is not None and self.view is not None:
            self.query_one("#models-details").border_title = safe(version.name)
            self.query_one("#models-text", Static).update(details(version, self.view, now=time.time()))
        self.show_served()
        self.refresh_bindings()

    def show_foot(self) -> None:
        """Below the versions: which one is marked, else how much disk they take."""
        view = self.view
        marked = view.version(self.marked) if view is not None else None
        told = f"marked {marked.name} · = compares" if marked is not None else disk_line(view) if view else ""
        self.query_one(LineageTree).border_subtitle = safe(told, one_line=True)

    def on_descendant_focus(self) -> None:
        """In a small terminal the details get all the room while one reads them."""
        self.set_class(isinstance(self.focused, TextPane), "-reading")

    def on_option_list_option_selected(self) -> None:
        """Enter on a version goes to its details."""
        self.query_one(TextPane).focus()

    def action_back(self) -> None:
        """From the details to the versions."""
        self.remove_class("-reading")
        self.query_one(LineageTree).focus()

    def copyable(self) -> str:
        """The details of the version."""
        version, view = self.subject, self.view
        if version is None or view is None:
            return ""
        return f"{version.name}\n{details(version, view, now=time.time()).plain}"

    def state(self) -> Mapping[str, Any]:
        """The version under the cursor, and the marked one."""
        return {"version": self.query_one(LineageTree).selected_id, "marked": self.marked}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to the version once it is there."""
        wanted, marked = state.get("version"), state.get("marked")
        self._wanted = wanted if isinstance(wanted, int) else None
        self.marked = marked if isinstance(marked, int) else None
