"""The keys of the screens that have many."""

from __future__ import annotations

from textual.binding import Binding, BindingType

REVIEW: list[BindingType] = [
    Binding("g", "judge('good')", "Good", id="review.good", tooltip="A good answer"),
    Binding("b", "judge('bad')", "Bad", id="review.bad", tooltip="A bad answer"),
    Binding("c", "correct", "Correct", id="review.correct", tooltip="Write the answer as it should be"),
    Binding("s", "judge('skip')", "Skip", id="review.skip", tooltip="Decide later; it is recorded as a skip"),
    Binding("m", "mark", "Mark", show=False, id="review.mark", tooltip="Mark it; a verdict key then judges all marked"),
    Binding(
        "M", "mark_all", "Mark all", show=False, id="review.mark_all", tooltip="Everything the query shows, or none"
    ),
    Binding("C", "move", "Change category", show=False, id="review.move", tooltip="It belongs to another category"),
    Binding(
        "e", "outside", "Edit outside", show=False, id="review.outside", tooltip="Correct it in $VISUAL or $EDITOR"
    ),
    Binding("i", "guidelines", "Guidelines", show=False, id="review.guidelines", tooltip="What makes an answer good"),
    Binding("r", "rank", "Rank answers", show=False, id="review.rank", tooltip="Compare the answers to this prompt"),
    Binding("w", "why", "Why", show=False, id="review.why", tooltip="All reasons for its reward and place, or a few"),
    Binding("u", "undo", "Undo", id="review.undo", tooltip="Take the last judgment back, as often as you like"),
    # Of a burst of keys, as a slow connection delivers them, those after the slash must find the search open.
    Binding("slash", "search", "Search", id="review.search", key_display="/", priority=True, tooltip="As you type"),
    Binding("x", "judge('reject')", "Reject", show=False, id="review.reject", tooltip="Not fit as an example at all"),
    Binding("U", "redo", "Redo", show=False, id="review.redo", tooltip="Restore what undo took back"),
    Binding("f", "next('filter')", "Filter", show=False, id="review.filter", tooltip="Which ones: pending, all, …"),
    Binding("o", "next('order')", "Order", show=False, id="review.order", tooltip="Informative, newest, score"),
    Binding("a", "next('category')", "Category", show=False, id="review.category", tooltip="The next category"),
    Binding("p", "prompt", "Whole prompt", show=False, id="review.prompt", tooltip="A long prompt to its end, or cut"),
    Binding("n", "step(1)", "Next", show=False, id="review.next", tooltip="The next event, without a verdict"),
    Binding("N", "step(-1)", "Previous", show=False, id="review.previous", tooltip="The event before"),
    Binding("space,J", "scroll(1)", "Read on", show=False, id="review.down", tooltip="Scroll the event down"),
    Binding("backspace,K", "scroll(-1)", "Read back", show=False, id="review.up", tooltip="Scroll the event up"),
    Binding(
        "escape",
        "back",
        "Back",
        show=False,
        id="review.back",
        tooltip="One step back: stop, search, event, marks, words",
    ),
]
