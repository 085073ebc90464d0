"""The keys of the screen of the hard negatives."""

from __future__ import annotations

from textual.binding import Binding, BindingType

HARD: list[BindingType] = [
    Binding("c", "correct", "Correct", id="hard.correct", tooltip="Write the answer as it should be"),
    Binding("n", "again", "Ask again", id="hard.again", tooltip="What serves answers it once more"),
    Binding("t", "test(False)", "Test", id="hard.test", tooltip="Test the newest version on it, or on its pattern"),
    Binding("T", "test(True)", "Test pattern", show=False, id="hard.test_all", tooltip="The same on the whole pattern"),
    Binding("plus", "pin(True)", "Next batch", id="hard.pin", key_display="+", tooltip="First in the next training"),
    Binding("minus", "pin(False)", "Not next", show=False, id="hard.unpin", key_display="-", tooltip="Take that back"),
    Binding("x", "stop", "Stop", id="hard.stop", tooltip="Break off the test or the answer; what came is kept"),
    Binding("f", "filter", "Filter", id="hard.filter", tooltip="Which ones: to do, to correct, solved, …"),
    Binding("a", "category", "Category", show=False, id="hard.category", tooltip="The next category"),
    Binding("slash", "search", "Search", show=False, id="hard.search", key_display="/", priority=True,
            tooltip="Words of prompt, note, kind or pattern, or #number"),
    Binding("u", "undo", "Undo", show=False, id="hard.undo", tooltip="Take the last judgment back"),
    Binding("space,J", "scroll(1)", "Read on", show=False, id="hard.down", tooltip="Scroll the pane down"),
    Binding("backspace,K", "scroll(-1)", "Read back", show=False, id="hard.up", tooltip="Scroll the pane up"),
    Binding("escape", "back", "Back", show=False, id="hard.back", tooltip="From the search or the pane to the tree"),
]  # fmt: skip
