"""The validators by name, each made from the options of its category."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from core.categories import Category
from core.config import close_names
from core.errors import CategoryError
from core.validate.mermaid_er import MermaidErValidator, Weights
from core.validate.plain import PlainValidator
from core.validate.validator import Validation, Validator


def _plain(options: Mapping[str, Any]) -> Validator:
    """Options: `min_chars` and `max_chars`."""
    _only(options, "min_chars", "max_chars")
    return PlainValidator(int(options.get("min_chars", 1)), int(options.get("max_chars", 200_000)))


def _mermaid_er(options: Mapping[str, Any]) -> Validator:
    """Options: `weights`, points by part of a diagram."""
    _only(options, "weights")
    weights = {part: float(points) for part, points in dict(options.get("weights", {})).items()}
    return MermaidErValidator(weights=Weights(**weights))


def _only(options: Mapping[str, Any], *known: str) -> None:
    if unknown := set(options) - set(known):
        raise TypeError(f"{min(unknown)!r} is none of {', '.join(known)}")


VALIDATORS: Final[Mapping[str, Callable[[Mapping[str, Any]], Validator]]] = {
    "none": _plain,
    "mermaid_er": _mermaid_er,
}


def validator_for(category: Category) -> Validator:
    """The validator of a category. Raises CategoryError for an unknown name or options that it does not know."""
    make = VALIDATORS.get(category.validator)
    if make is None:
        raise CategoryError(
            f"Category `{category.name}` asks for the validator `{category.validator}`, which does not exist.",
            hint=close_names(category.validator, VALIDATORS),
        )
    try:
        return make(category.validator_options)
    except (TypeError, ValueError) as error:
        raise CategoryError(
            f"Category `{category.name}`: the validator `{category.validator}` refuses its options ({error}).",
            title="Wrong options for a validator",
            hint="Correct validator_options in the configuration.",
        ) from error


def tells_quality(validator: Validator) -> bool:
    """Whether a high score says that an answer is good, not only that there is one."""
    return not isinstance(validator, PlainValidator)


def validated(validator: Validator, response: str, prompt: str, metadata: Mapping[str, Any]) -> Validation:
    """The verdict on a response, with what `metadata["expected"]` (a mapping) says of a right answer."""
    expected = metadata.get("expected")
    return validator.validate(response, prompt=prompt, expected=expected if isinstance(expected, Mapping) else None)
