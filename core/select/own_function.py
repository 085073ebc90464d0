"""Finding a function that a user wrote or installed: by an entry point, in the home folder, or in a module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import FinetuneError

if TYPE_CHECKING:
    from core.paths import Home

GROUP: Final = "finetune_tui.rewards"


class Unusable(Exception):
    """Why a function cannot be used, in words that complete a sentence."""


def find_function(name: str, home: Home) -> Callable[..., Any]:
    """The function that `name` (an entry point, or `module:function`) stands for. Raises Unusable."""
    module, colon, attribute = name.strip().partition(":")
    found = _attribute(_module(module, home), attribute, name) if colon else _entry_point(module)
    if not callable(found):
        raise Unusable(f"`{name}` is {type(found).__name__} and cannot be called")
    function: Callable[..., Any] = found
    return function


def stamp_of(name: str, home: Home) -> int:
    """A number that changes with the file of the home folder that `name` means, 0 without one. Raises Unusable."""
    path = _own_file(name.strip().partition(":")[0], home)
    try:
        return 0 if path is None else path.stat().st_mtime_ns
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from error


def _own_file(module: str, home: Home) -> Path | None:
    """`module` as a file of the home folder, or None when there is none. Raises Unusable when it leads elsewhere."""
    stem = module.removesuffix(".py")
    if not stem.isidentifier():
        return None
    try:
        path = home.resolve(f"{stem}.py")
    except FinetuneError as error:
        raise Unusable(error.message) from error
    return path if path.is_file() else None


def _module(module: str, home: Home) -> Any:
    path = _own_file(module, home)
    try:
        return importlib.import_module(module) if path is None else _executed(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise Unusable(f"there is neither a file {module}.py in {home.root} nor a module `{module}`") from error
        raise Unusable(f"`{module}` cannot be loaded: {error}") from error
    except (Exception, SystemExit) as error:
        raise Unusable(f"`{module}` cannot be loaded: {type(error).__name__}: {error}") from error


def _executed(path: Path) -> Any:
    """The module of a file, run anew each time so that a change is seen without a restart."""
    name = f"finetune_tui_home_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # a dataclass looks its own module up there
    # Compiled from the text: bytecode beside it is taken for current within the same second.
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    return module


def _attribute(module: Any, attribute: str, name: str) -> Any:
    found = getattr(module, attribute, None) if attribute.isidentifier() else None
    if found is None:
        raise Unusable(f"`{name}` names no function of that module")
    return found


def _entry_point(name: str) -> Any:
    from importlib.metadata import entry_points

    found = [each for each in entry_points(group=GROUP) if each.name == name]
    if not found:
        raise Unusable("no installed package brings a reward of this name, and as `module:function` it lacks the colon")
    if len(found) > 1:
        raise Unusable(f"{len(found)} installed packages bring a reward of this name")
    try:
        return found[0].load()
    except (Exception, SystemExit) as error:
        raise Unusable(f"it cannot be loaded: {type(error).__name__}: {error}") from error
