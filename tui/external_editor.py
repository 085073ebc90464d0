"""The person's own editor on a text, in a private file that is gone afterwards."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from textual.app import SuspendNotSupported

from core.errors import FinetuneError
from tui.text import editable

if TYPE_CHECKING:
    from tui.app import FinetuneApp

_USUAL: Final = ("nano", "vim", "vi")
_LIMIT: Final = 8_000_000


class EditorError(FinetuneError):
    """The editor could not be used, or gave nothing back."""

    default_title = "The editor gave no text"


def suffix_of(validator: str, text: str) -> str:
    """The ending of the file name by which an editor knows what it has to show."""
    if validator.startswith("mermaid"):
        return ".mmd"
    if validator == "python":
        return ".py"
    return ".json" if text.lstrip()[:1] in ("{", "[") else ".md"


def editor_command(environment: Mapping[str, str]) -> Sequence[str]:
    """`$VISUAL`, else `$EDITOR`, else an editor that is there. Raises EditorError where there is none."""
    named = next((value for name in ("VISUAL", "EDITOR") if (value := environment.get(name, "").strip())), "")
    try:
        command = shlex.split(named) if named else [found for name in _USUAL if (found := shutil.which(name))][:1]
    except ValueError as error:
        raise EditorError(
            f"$EDITOR is {named[:80]!r}, and that is no command: {error}.", hint="Correct the quotes in it."
        ) from error
    if not command:
        raise EditorError("No editor is named.", hint="Set VISUAL or EDITOR, for example: export EDITOR=nano")
    if shutil.which(command[0]) is None:
        raise EditorError(
            f"The editor {command[0][:80]!r} is not there.", hint="Correct VISUAL or EDITOR, or install it."
        )
    return command


def edit(text: str, *, suffix: str, command: Sequence[str]) -> str | None:
    """Runs the editor on `text` until it ends, and returns what it left, or None where that is the same.

    The file lies in a folder that only the person can open, and is removed whatever happens. Raises EditorError when
    the editor cannot be started, ends with an error, or leaves no text in UTF-8.
    """
    folder = Path(tempfile.mkdtemp(prefix="finetune-tui-"))
    path = folder / f"answer{suffix}"
    try:
        path.touch(0o600)
        path.write_text(text, encoding="utf-8", newline="")
        _run([*command, str(path)])
        return _taken(path, text)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str]) -> None:
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise EditorError(
            f"{command[0][:80]!r} cannot be started: {error.strerror or error}.", hint="Correct VISUAL or EDITOR."
        ) from error
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise EditorError(
            f"{command[0][:80]!r} {how}, so nothing of it was taken over.",
            hint="The answer is as it was; e opens the editor again, c corrects it here.",
        )


def _taken(path: Path, before: str) -> str | None:
    try:
        if path.stat().st_size > _LIMIT:
            raise EditorError(f"The text is longer than {_LIMIT:,} bytes.", hint="Keep it shorter.")
        text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise EditorError("The editor did not save it in UTF-8.", hint="Set its encoding to UTF-8.") from error
    except OSError as error:
        raise EditorError(f"The text cannot be read back: {error.strerror or error}.", hint="Try again.") from error
    if text == before + "\n":
        return None  # most editors end the last line
    if text.endswith("\n") and not before.endswith("\n"):
        text = text[:-1]
    return None if text == before else text


def edit_outside(app: FinetuneApp, text: str, suffix: str) -> str | None:
    """Hands the terminal to the person's editor, and returns the text it left, inert, or None where there is none.

    What went wrong, and that nothing was changed, is told as a toast.
    """
    try:
        command = editor_command(os.environ)
        with app.suspend():
            found = edit(text, suffix=suffix, command=command)
    except SuspendNotSupported:
        app.tell("This terminal cannot be lent to another program. c corrects it here.", severity="warning")
        return None
    except EditorError as error:
        app.report(error, "editing outside")
        return None
    if found is None:
        app.tell("The text came back as it was.")
        return None
    return editable(found)
