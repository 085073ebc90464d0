"""Where `finetune-tui` begins: the app at once when nothing but the app is asked for, else the command line.

The command line's own framework takes a tenth of the time to the first frame; the app does not need it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path


def app_home(arguments: Sequence[str]) -> tuple[bool, Path | None]:
    """Whether these arguments ask for the app and nothing else, and the home folder that they name."""
    match list(arguments):
        case []:
            return True, None
        case ["--home", folder] if not folder.startswith("-"):
            return True, Path(folder)
        case [one] if one.startswith("--home=") and one != "--home=":
            return True, Path(one.removeprefix("--home="))
    return False, None


def main() -> None:
    """Start what was asked for. What goes wrong before the app has the terminal is told by the command line."""
    plain, home = app_home(sys.argv[1:])
    app = None
    if plain and not (home is not None and home.is_file()):
        gc.disable()  # until the first frame, where the app turns it on: what imports make is no garbage
        from core.errors import FinetuneError
        from core.paths import locate_home
        from tui.app import FinetuneApp

        try:
            app = FinetuneApp(locate_home(home))
        except (FinetuneError, OSError):
            gc.enable()
    if app is not None:
        app.run()
        return
    from tui.__main__ import main as command_line

    command_line()


if __name__ == "__main__":
    main()
