"""Asking models: a prompt, who answers it and how, and the answers as they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from core.playground.desk import Arm, Desk
from core.playground.take import Take
from tui.play.choosing import Chooser
from tui.play.feedback import Feedback
from tui.play.idle import Idle
from tui.play.keys import PLAYGROUND
from tui.play.look import NOTHING, head, hint
from tui.play.models import Offer, category_of, read_offer
from tui.play.session import PlaySession
from tui.play.settings import PlaySettings, Prompts, Remembered, unnamed
from tui.screens.base import BaseScreen
from tui.text import safe
from tui.widgets.answers import Answers
from tui.widgets.empty import Empty
from tui.widgets.prompt_box import PromptBox
from tui.words import counted

DRAWN_EVERY: Final = 0.06
"""Seconds between two looks at what has come: at most 17 a second, however fast a model is."""


class AskingScreen(BaseScreen):
    """The answers on top, the prompt beneath them. What is said of an answer is for the subclass."""

    MODE = "playground"
    HELP = "playground"
    BINDINGS: ClassVar[list[BindingType]] = PLAYGROUND
    DEFAULT_CSS = """
    AskingScreen #head, AskingScreen #note {
        height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    AskingScreen.-narrow Answers { layout: vertical; }
    AskingScreen.-empty Answers { display: none; }
    AskingScreen #nothing { display: none; }
    AskingScreen.-empty #nothing { display: block; }
    AskingScreen.-narrow PromptBox { height: 3; }
    AskingScreen.-narrow PromptBox:focus { height: 6; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self._own = Remembered(PlaySettings(), Prompts())
        self._offer: Offer | None = None
        self._wants_to_send = False
        self._note = ""

    def compose_body(self) -> ComposeResult:
        self.session = PlaySession(self.finetune, self.home, self.desk)
        yield Static(id="head")
        yield Answers(self.session)
        yield Empty("No answer yet.", NOTHING, id="nothing")
        yield Static(id="note")
        yield PromptBox(self._own.prompts, placeholder="Your prompt", id="prompt", classes="pane")

    def on_mount(self) -> None:
        self.feedback = Feedback(self, self.session)
        self._chooser = Chooser(self, self._choose)
        self._drawing = self.set_interval(DRAWN_EVERY, self._poll, pause=True)
        self._idle = Idle(self, self.desk)
        self.box.border_title = "Prompt"
        self.show()

    # The memory that models take.

    def on_unmount(self) -> None:
        self.desk.close()

    def on_screen_suspend(self) -> None:
        self._idle.left()

    def on_screen_resume(self) -> None:
        self._idle.back()

    # What is chosen.

    @property
    def box(self) -> PromptBox:
        """Where the prompt is written."""
        return self.query_one(PromptBox)

    @property
    def answers(self) -> Answers:
        """Where they stand."""
        return self.query_one(Answers)

    @property
    def front(self) -> Take | None:
        """The answer that a key means."""
        arm = self.answers.front
        return self.session.takes[arm] if arm is not None else None

    @property
    def _model(self) -> str:
        return self._own.settings.a or (self._offer.first if self._offer is not None else "")

    def state(self) -> Mapping[str, Any]:
        return self._own.to_state(self.box.prompt)

    def restore(self, state: Mapping[str, Any]) -> None:
        self.box.put(self._own.restore(state))

    def refresh_data(self) -> None:
        """Take up what another screen asks for, and see which models there are."""
        prompt = self._own.take_asked(self.take_asked(), partial(category_of, self.store))
        if prompt:
            self.session.clear()
            self.box.put(prompt)
            self.show("ctrl+s sends this prompt; enter goes to it")
        home, category = self.home, self._own.settings.category
        self.in_background(
            lambda: read_offer(home, category),
            group="play.models",
            description="looking for models",
            then=self._take_offer,
            failed=lambda error: self.show(f"✗ the models cannot be listed: {error}"),
            in_turn=True,
        )

    def _take_offer(self, offer: Offer) -> None:
        self._offer = offer
        self._own.settings = unnamed(replace(self._own.settings, category=offer.category.name), offer.names)
        self.show()
        if self._wants_to_send:
            self._send()

    def _choose(self, settings: PlaySettings) -> None:
        self._own.settings = settings
        self.show("")
        self.refresh_data()

    def action_model(self, arm: Arm) -> None:
        """List the models."""
        self._chooser.model(arm, self._own.settings)

    def action_category(self) -> None:
        """List the categories."""
        if self._offer is not None:
            self._chooser.category(self._own.settings, self._offer)

    def action_options(self) -> None:
        """How the next answers are drawn."""
        if self._offer is not None:
            self._chooser.options(self._own.settings, self._offer)

    def action_blind(self) -> None:
        """Hide whose answer is which, from the next prompt on; or show it at once."""
        blind = not self._own.settings.blind
        self._own.settings = replace(self._own.settings, blind=blind)
        self.session.hidden = self.session.hidden and blind
        self.show("from the next prompt on names are shown after the vote" if blind else "")

    # Asking.

    def action_write(self) -> None:
        """To the box; at once, so that of a burst of keys those after this one find it open."""
        self.set_focus(self.box)

    def action_send(self) -> None:
        """Ask the models what stands in the box, once every key that was pressed before has arrived there."""
        self.box.call_later(self._send)

    def _send(self) -> None:
        prompt, self._wants_to_send = self.box.prompt, self._offer is None
        if self._offer is None:
            return
        if not prompt.strip() or not self._model:
            self.show("m chooses a model first." if prompt.strip() else "Write a prompt first: enter goes to the box.")
            return
        self._own.prompts.add(prompt)
        models = [name for name in (self._model, self._own.settings.b) if name]
        self.session.ask(prompt, self._own.settings, models, self._offer.category.system_prompt)
        self._begin("")
        self.answers.enter()

    def action_again(self) -> None:
        """Another answer in place of the one in front."""
        if (arm := self.answers.front) is not None:
            self.session.again(arm, self._own.settings)
            self._begin("" if self._own.settings.temperature else "at temperature 0 it stays the same; o changes that")

    def _begin(self, note: str) -> None:
        self.show(note)
        self._drawing.resume()

    def _poll(self) -> None:
        self.answers.poll()
        for arm, take in self.session.takes.items():
            if take.usable and take.validation is None:
                self.feedback.validate(arm, take, self.answers.redraw)
        if not any(take.running for take in self.session.takes.values()):
            self._drawing.pause()
            self.show()

    def action_stop(self) -> None:
        """Stop every answer; the models stay loaded."""
        self.desk.stop()

    def action_back(self) -> None:
        """From the box to the answers; there it stops what runs."""
        if self.focused is not self.box:
            self.desk.stop()
        elif self.session.takes:
            self.answers.enter()
        else:
            self.set_focus(None)

    def action_follow_up(self) -> None:
        """Ask on from the answer in front."""
        if (take := self.front) is not None:
            self.session.follow_up(take)
            self.box.put("")
            self.set_focus(self.box)
            self.show(f"goes on after {counted(len(self.session.history) // 2, 'answer')}; n begins anew")

    def action_fresh(self) -> None:
        """A new conversation."""
        self.session.clear()
        self.box.put("")
        self.set_focus(self.box)
        self.show("")

    def action_prompt(self, step: int) -> None:
        """An earlier or a later prompt."""
        self.box.turn(step)

    def show(self, note: str | None = None) -> None:
        """Draw all anew, with a line of what was done, else of what can be done; without `note` that line stays."""
        self._note = self._note if note is None else note
        self.set_class(not self.session.takes, "-empty")
        self.query_one("#head", Static).update(head(self._own.settings, self._model))
        self.answers.show()
        self.query_one("#note", Static).update(safe(self._note or hint(self.session), one_line=True, limit=300))
        self.refresh_bindings()
