"""What a test may let go wrong, set by `POST /_fault`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass
class Faults:
    """Every switch stays until it is changed, but those that count down or are told to work once.

    create_status + create_error: refuse every `create` before its first line.
    create_line: an `error` line inside create's 200, in place of "writing manifest".
    create_cut: the connection breaks before create's last line ("line": the last line is a whole one, no "success").
    create_pause: seconds after each line. create_loses_parameters: the parameters sent are not stored.
    create_template: a Jinja template that is looked at in place of the file's own.
    upload_cut: break the connection after that many bytes. upload_full: 500 "no space left on device".
    copy: "status" refuses with 500; "between" truncates the target's manifest and then refuses; "unlike" copies
    nothing and says it did. copy_times: how often before it is well again, −1 always.
    copy_pause: seconds between truncating the target's manifest and writing it.
    vanish: that name is 404 for the next `vanish_times` requests that name it (tags leave it out too).
    busy: so many chat, generate, embed and completion requests are refused with 503.
    slow: seconds before each of those (and before each piece of text, as --delay).
    chat_line: an `error` line after the first piece of a streamed answer. chat_cut: the connection breaks there.
    chat_wrong: answers are other than they should be. chat_status: refuse with that status.
    rewrites_change: the era that rewrites files changes their digest. no_quantize: it has no llama-quantize.
    unload_status: refuse to unload. delete_status: refuse to delete. load_status: refuse to load or warm.
    """

    create_status: int = 0
    create_error: str = "invalid model name"
    create_line: str = ""
    create_cut: bool | str = False
    create_pause: float = 0.0
    create_loses_parameters: bool = False
    create_template: str = ""
    upload_cut: int = 0
    upload_full: bool = False
    copy: str = ""
    copy_times: int = 1
    copy_pause: float = 0.0
    vanish: str = ""
    vanish_times: int = 1
    busy: int = 0
    slow: float = 0.0
    chat_line: str = ""
    chat_cut: bool = False
    chat_wrong: bool = False
    chat_status: int = 0
    rewrites_change: bool = False
    no_quantize: bool = False
    unload_status: int = 0
    delete_status: int = 0
    load_status: int = 0

    def change(self, wanted: dict[str, Any]) -> None:
        """Sets switches by name; all to their usual values where none is given. KeyError for an unknown one."""
        known = {one.name for one in fields(self)}
        if unknown := set(wanted) - known:
            raise KeyError(", ".join(sorted(unknown)))
        usual = Faults()
        for name in known if not wanted else ():
            setattr(self, name, getattr(usual, name))
        for name, value in wanted.items():
            setattr(self, name, value)
