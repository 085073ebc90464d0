"""The validators by name, each made from the options of its category.

A package adds its own under the entry point group `finetune_tui.validators`: the name, and a factory that takes the
options (a mapping) and returns a validator. A built-in name cannot be taken.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from core.categories import Category
from core.config import close_names
from core.errors import CategoryError
from core.validate.plugin import load_factory, made_by
from core.validate.validator import Validation, Validator

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "finetune_tui.validators"
# Each module has a factory `make(options)`; it is imported when a category asks for it first.
BUILT_IN: Final[Mapping[str, str]] = {
    "none": "core.validate.plain",
    "mermaid_er": "core.validate.mermaid.er",
    "mermaid": "core.validate.mermaid.validator",
    "python": "core.validate.python_code",
    "openapi": "core.validate.openapi",
    "api_docs": "core.validate.api_docs",
    "json_schema": "core.validate.json_schema",
    "label": "core.validate.label",
    "regex": "core.validate.pattern",
    "language": "core.validate.language",
    "command": "core.validate.command",
    "judge": "core.validate.judge",
}


def validator_for(category: Category) -> Validator:
    """The validator of a category.

    Raises CategoryError for an unknown name, options that it refuses, and a package that does not give a validator.
    """
    name, options = category.validator, category.validator_options
    if name in BUILT_IN:
        make: Callable[[Mapping[str, Any]], Validator] = importlib.import_module(BUILT_IN[name]).make
        return _made(category, lambda: make(options))
    found = _plugins().get(name, ())
    if not found:
        raise CategoryError(
            f"Category `{category.name}` asks for the validator `{name}`, which does not exist.",
            hint=close_names(name, validator_names()),
        )
    if len(found) > 1:
        packages = ", ".join(f"`{_package(each)}`" for each in found)
        raise CategoryError(
            f"Category `{category.name}` asks for the validator `{name}`, which several packages bring: {packages}.",
            title="Two validators with one name",
            hint="Uninstall one of the packages.",
        )
    factory = load_factory(found[0], _package(found[0]))
    return _made(category, lambda: made_by(factory, options, name, _package(found[0])))


def validator_options() -> dict[str, str]:
    """What each built-in validator judges by name, with the options that it takes, as its factory documents them."""
    return {name: inspect.cleandoc(importlib.import_module(path).make.__doc__) for name, path in BUILT_IN.items()}


def validator_names() -> set[str]:
    """Every name that a category may ask for: the built-in ones and those that installed packages bring."""
    return {*BUILT_IN, *_plugins()}


def validated(validator: Validator, response: str, prompt: str, metadata: Mapping[str, Any]) -> Validation:
    """The verdict on a response, with what `metadata["expected"]` (a mapping) says of a right answer."""
    expected = metadata.get("expected")
    return validator.validate(response, prompt=prompt, expected=expected if isinstance(expected, Mapping) else None)


def _made(category: Category, make: Callable[[], Validator]) -> Validator:
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise CategoryError(
            f"Category `{category.name}`: the validator `{category.validator}` refuses its options ({error}).",
            title="Wrong options for a validator",
            hint="Correct validator_options in the configuration.",
        ) from error


def _plugins() -> dict[str, tuple[EntryPoint, ...]]:
    from importlib.metadata import entry_points

    found: dict[str, tuple[EntryPoint, ...]] = {}
    for each in entry_points(group=GROUP):
        if each.name not in BUILT_IN:
            found[each.name] = (*found.get(each.name, ()), each)
    return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
