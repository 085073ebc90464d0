"""Opening a file in the user's own editor while the app steps aside."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from core.errors import FinetuneError

if TYPE_CHECKING:
    from textual.app import App

_USUAL = ("nano", "vim", "vi", "emacs")
_AT_LINE = frozenset({"nano", "vim", "vi", "nvim", "emacs", "emacsclient", "micro", "kak", "hx", "ed"})


def editor_command(path: Path, line: int = 0) -> list[str]:
    """What opens the file: $VISUAL, $EDITOR, else the first usual editor that is there; at a line where it can.

    Raises FinetuneError when there is none.
    """
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or next(filter(shutil.which, _USUAL), "")
    command = shlex.split(named)
    if not command:
        raise FinetuneError(
            "No editor is known.", title="No editor", hint=f"Set EDITOR to your editor's name, or open {path} yourself."
        )
    at = [f"+{line}"] if line > 0 and Path(command[0]).name in _AT_LINE else []
    return [*command, *at, str(path)]


def edit(app: App[None], path: Path, line: int = 0) -> None:
    """Hand the terminal to the editor until it ends. Raises FinetuneError when it cannot be run, or failed."""
    command = editor_command(path, line)
    code, refused = 0, ""
    try:
        with app.suspend():  # which does not come back from an error raised inside
            try:
                code = subprocess.run(command, check=False).returncode
            except OSError as error:
                refused = error.strerror or str(error)
    except SuspendNotSupported as error:
        raise FinetuneError(
            "This terminal cannot be handed to another program.",
            title="The editor was not opened",
            hint=f"Open {path} in your editor yourself.",
        ) from error
    if refused:
        raise FinetuneError(
            f"{command[0]} cannot be run: {refused}.", title="No editor", hint="Set EDITOR to your editor's name."
        )
    if code:
        raise FinetuneError(
            f"{command[0]} ended with code {code}.", title="The editor failed", hint=f"The file is {path}."
        )
