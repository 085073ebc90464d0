"""The keys of the playground."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType

PLAYGROUND: Final[list[BindingType]] = [
    Binding("ctrl+s,f5,ctrl+j", "send", "Send", id="playground.send", priority=True, tooltip="Ask the models",
            key_display="^s"),
    Binding("enter,i", "write", "Write", id="playground.write", priority=True, tooltip="To the box with the prompt"),
    Binding("g", "judge('good')", "Good", id="playground.good", tooltip="A good answer: record it"),
    Binding("b", "judge('bad')", "Bad", id="playground.bad", tooltip="A bad answer: record it"),
    Binding("c", "correct", "Correct", id="playground.correct", tooltip="Write the answer as it should be"),
    Binding("r,ctrl+r", "again", "Regenerate", id="playground.again", tooltip="Another answer, with another seed"),
    Binding("left_square_bracket", "vote('left')", "Left better", show=False, id="playground.left", key_display="[",
            tooltip="The first answer is better: record both"),
    Binding("right_square_bracket", "vote('right')", "Right better", show=False, id="playground.right",
            key_display="]", tooltip="The second answer is better: record both"),
    Binding("equals_sign", "vote('tie')", "No difference", show=False, id="playground.tie", key_display="=",
            tooltip="Neither is better: record both"),
    Binding("s", "keep", "Keep", show=False, id="playground.keep", tooltip="Record the answer, say nothing of it"),
    Binding("u", "undo", "Undo", show=False, id="playground.undo", tooltip="Take back what was said last"),
    Binding("f", "follow_up", "Follow up", show=False, id="playground.follow", tooltip="Ask on from this answer"),
    Binding("n", "fresh", "New", show=False, id="playground.new", tooltip="A new conversation"),
    Binding("x", "stop", "Stop", show=False, id="playground.stop", tooltip="Stop the answers; what has come stays"),
    Binding("m,f8", "model('a')", "Model", show=False, id="playground.model", tooltip="Which model answers"),
    Binding("M,ctrl+b", "model('b')", "Second model", show=False, id="playground.second",
            tooltip="A model that answers beside it, or none"),
    Binding("o,f9", "options", "Options", show=False, id="playground.options",
            tooltip="System prompt, temperature, tokens, seed"),
    Binding("a", "category", "Category", show=False, id="playground.category", tooltip="What is asked is of this kind"),
    Binding("B", "blind", "Blind", show=False, id="playground.blind", tooltip="Hide whose answer is which"),
    Binding("f3", "prompt(-1)", "Earlier prompt", show=False, id="playground.earlier", tooltip="The prompt before"),
    Binding("f4", "prompt(1)", "Later prompt", show=False, id="playground.later", tooltip="The prompt after"),
    Binding("escape", "back", "Back", show=False, id="playground.back",
            tooltip="From the prompt to the answers; stops what is answering"),
]  # fmt: skip
