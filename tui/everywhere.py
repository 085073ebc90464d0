"""The keys that work on every screen and in every dialogue: help, copy, jump, log, and what ctrl+c does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from textual import events
from textual.actions import ActionParseResult
from textual.app import App
from textual.binding import ActiveBinding, Binding, BindingType
from textual.dom import DOMNode
from textual.filter import LineFilter

from tui.inert import Inert
from tui.text import for_clipboard, pasted

if TYPE_CHECKING:
    from tui.looks import Looks
    from tui.screens.base import BaseScreen
    from tui.session_log import SessionLog

_IN_DIALOGS: Final = {"help", "jump", "log", "copy", "help_quit"}
_TWICE_SECONDS: Final = 3.0


def _key(keys: str, action: str, description: str, tooltip: str) -> Binding:
    return Binding(keys, action, description, show=False, id=f"app.{action}", tooltip=tooltip)


class Everywhere(App[None]):
    """An app with these keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        _key("question_mark,f1", "help", "Help", "What the keys do here"),
        _key("y", "copy", "Copy", "Copy the selected text, else what is in front"),
        _key("ctrl+o", "jump", "Jump", "Go to a part of the screen by a letter"),
        _key("ctrl+l", "log", "Log", "All messages and errors, to read again"),
        _key("q", "quit", "Quit", "Leave; a run goes on without the app"),
    ]
    session: SessionLog
    looks: Looks
    _interrupted_at = 0.0
    _inert: ClassVar[LineFilter] = Inert()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every line passes through before it is sent to the terminal."""
        return [*super().get_line_filters(), self._inert]

    def report(self, error: BaseException, doing: str, *, toast: bool = True) -> None:
        """Tell what went wrong."""
        raise NotImplementedError

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do what a key or a click asks for. What goes wrong is told, and ends nothing: what was typed stays."""
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except Exception as error:  # noqa: BLE001  the boundary between a person and everything that keys may do
            self.report(error, "doing what was asked for")
            return True

    async def on_event(self, event: events.Event) -> None:
        """What is pasted may come from anywhere."""
        if isinstance(event, events.Paste) and not event.is_forwarded:
            event.text = pasted(event.text)
        await super().on_event(event)

    @property
    def front(self) -> BaseScreen | None:
        """The screen of the current mode, even while a dialogue covers it."""
        raise NotImplementedError

    def show_unseen(self) -> None:
        """How many errors nobody has looked at: in the top line."""
        if self.front is not None:
            self.front.refresh_bar()

    async def on_key(self, event: events.Key) -> None:
        """A dialogue hides the app's keys; those that must work everywhere are tried when it knows none of its own."""
        if not self.screen.is_modal:
            return
        known = self.screen.active_bindings.get(event.key)
        copies_nothing = known and known.binding.action == "screen.copy_text" and not self.screen.get_selected_text()
        if known is None or copies_nothing:
            for binding in self._keys_in_dialogs().get(event.key, ()):
                event.prevent_default()
                await self.run_action(binding.action, self)

    def _keys_in_dialogs(self) -> dict[str, list[Binding]]:
        bindings = self._bindings.copy()
        bindings.apply_keymap(self._keymap)
        return {
            key: wanted
            for key, found in bindings.key_to_bindings.items()
            if (wanted := [binding for binding in found if binding.action in _IN_DIALOGS])
        }

    def action_help(self) -> None:
        """Show what the focused part, the screen or dialogue, and the keys are for."""
        from tui.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
            return
        page = str(getattr(self.screen, "HELP", "") or "")  # None for a dialogue that has no page of its own
        active = dict(self.screen.active_bindings)
        if self.screen.is_modal:
            for key, found in self._keys_in_dialogs().items():
                active.setdefault(key, ActiveBinding(self, found[0], True, found[0].tooltip))
        self.clear_notifications()
        self.push_screen(HelpScreen(page, active))

    def action_copy(self) -> None:
        """Copy the selected text, else what the screen or dialogue has in front."""
        give = getattr(self.screen, "copyable", None)
        text = self.screen.get_selected_text() or (give() if give is not None else "")
        if not text:
            self.notify("There is nothing here to copy. Text can be selected with the mouse.", severity="warning")
            return
        self.copy_to_clipboard(for_clipboard(text))
        self.notify(f"Copied {len(text):,} character{'' if len(text) == 1 else 's'}.")

    def action_jump(self) -> None:
        """Letters over the parts of the screen; the one that is chosen gets the focus."""
        from tui.jump import targets
        from tui.screens.jump import JumpScreen

        if not isinstance(self.screen, JumpScreen):
            self.push_screen(JumpScreen(targets(self.screen)), lambda part: part.focus() if part else None)

    def action_log(self) -> None:
        """Everything that was said."""
        from tui.screens.log import LogScreen

        if not isinstance(self.screen, LogScreen):
            self.clear_notifications()  # they stand in the log
            self.push_screen(LogScreen(self.session), lambda _: self.show_unseen())

    def _validate_theme(self, theme_name: str) -> str:
        if theme_name not in self.available_themes:
            self.looks.complete()  # it may be one that the first frame did not need
        return super()._validate_theme(theme_name)

    def action_switch_side(self) -> None:
        """From dark to light or back."""
        self.looks.switch_side()

    def action_help_quit(self) -> None:
        """ctrl+c: once says how to leave, twice within three seconds leaves."""
        again = time.monotonic() - self._interrupted_at < _TWICE_SECONDS
        self._interrupted_at = time.monotonic()
        if again:
            self.call_later(self.action_quit)
        else:
            self.notify("Press q to leave, or ctrl+c once more.")
