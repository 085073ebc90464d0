"""The keys of the screen of runs."""

from __future__ import annotations

from textual.binding import Binding, BindingType


def _quiet(keys: str, action: str, description: str, name: str, tooltip: str) -> Binding:
    return Binding(keys, action, description, show=False, id=f"train.{name}", tooltip=tooltip)


TRAIN: list[BindingType] = [
    Binding("n", "new_run", "New run", id="train.new", tooltip="Open the form of a new run"),
    Binding("ctrl+s,t", "start", "Start", id="train.start", tooltip="Start training with what the form says"),
    Binding("f2", "fit", "Make it fit", id="train.fit", tooltip="Take the settings that fit into memory"),
    Binding("v,f3", "samples", "Samples", id="train.samples", tooltip="The examples as the trainer will read them"),
    Binding("x", "break_off", "Break off", id="train.break_off", tooltip="Make the base model ready another time"),
    Binding(
        "x", "stop", "Pause", id="train.stop", tooltip="Save and stop at the next step; R goes on, nothing is lost"
    ),
    Binding("d", "cancel", "Cancel", id="train.cancel", tooltip="Take it out of the queue; R starts it after all"),
    Binding("R", "resume", "Resume", id="train.resume", tooltip="Go on where it was, from the last checkpoint"),
    Binding("c", "curve", "Curve", id="train.curve", tooltip="Next of loss, score, rewards, rate and memory"),
    Binding("l", "log", "Log", id="train.log", tooltip="The whole log of the run, as it grows"),
    Binding("equals_sign", "compare", "Compare", key_display="=", id="train.compare", tooltip="With the marked run"),
    Binding("m", "mark", "Mark", id="train.mark", tooltip="Mark it; = on another run compares the two"),
    Binding("h", "searches", "Searches", id="train.searches", tooltip="Trials of searches for good settings"),
    _quiet("escape", "leave", "Back", "back", "From the form back to the runs"),
]
