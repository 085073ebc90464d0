"""The keys of the rank screen."""

from __future__ import annotations

from textual.binding import Binding, BindingType

RANK: list[BindingType] = [
    Binding("a,h,left", "vote('left')", "Left better", id="rank.left", tooltip="The left answer is better"),
    Binding("b,l,right", "vote('right')", "Right better", id="rank.right", tooltip="The right answer is better"),
    Binding("t", "vote('tie')", "Tie", id="rank.tie", tooltip="No difference"),
    Binding("g", "vote('both_good')", "Both good", show=False, id="rank.both_good", tooltip="Both are good"),
    Binding("x", "vote('both_bad')", "Both bad", show=False, id="rank.both_bad", tooltip="Neither is any good"),
    Binding("s", "vote('skip')", "Skip", id="rank.skip", tooltip="Say nothing of these two; they count as equal"),
    Binding("u", "undo(True)", "Undo", id="rank.undo", tooltip="Take the last answer back, as often as you like"),
    Binding("U", "undo(False)", "Redo", show=False, id="rank.redo", tooltip="Say again what was taken back"),
    Binding("p", "prompts", "Prompts", id="rank.prompts", tooltip="To the list of prompts, and back"),
    Binding("n", "more", "More answers", show=False, id="rank.more", tooltip="Let the model answer prompts again"),
    Binding("X", "stop", "Stop", show=False, id="rank.stop", tooltip="Stop the model that answers"),
    Binding("o", "order", "Order", show=False, id="rank.order", tooltip="The order ranked last, and back"),
    Binding("c", "category", "Category", show=False, id="rank.category", tooltip="The next category"),
    Binding("f", "ranked", "Ranked too", show=False, id="rank.ranked", tooltip="List the ranked prompts too, or not"),
    # Of a burst of keys, as a slow connection delivers them, those after the slash must find the search open.
    Binding(
        "slash", "search", "Search", show=False, id="rank.search", key_display="/", priority=True,
        tooltip="Words in prompt or answers",
    ),
    Binding("escape", "back", "Back", show=False, id="rank.back", tooltip="From search, list or order to the question"),
]  # fmt: skip
