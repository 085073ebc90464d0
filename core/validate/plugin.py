"""Validators that other packages bring: loaded and called so that their faults cost no feedback."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from core.errors import CategoryError
from core.validate.validator import Finding, Severity, Validation, Validator, not_judged

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Factory = Callable[[Mapping[str, Any]], object]

_MESSAGE: Final = 500
_FINDINGS: Final = 200


@dataclass(frozen=True, slots=True)
class PluginValidator:
    """A validator of the package `package`. When it raises, or returns no verdict, nothing is judged: the finding
    `validator_failed` says why."""

    inner: Validator
    name: str
    package: str

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """What the package says of `response`."""
        try:
            return _checked(self.inner.validate(response, prompt=prompt, expected=expected))
        except Exception as error:  # noqa: BLE001 - foreign code; the feedback must be kept whatever it does
            message = f"the validator `{self.name}` of the package `{self.package}` failed: {_said(error)}"
            return not_judged("validator_failed", message[:_MESSAGE])


def load_factory(point: EntryPoint, package: str) -> Factory:
    """The factory behind an entry point. Raises CategoryError that names the package."""
    try:
        factory = point.load()
    except Exception as error:
        raise _fault(package, f"its validator `{point.name}` cannot be loaded: {_said(error)}") from error
    if not callable(factory):
        raise _fault(package, f"what it registers as `{point.name}` cannot be called")
    found: Factory = factory
    return found


def made_by(factory: Factory, options: Mapping[str, Any], name: str, package: str) -> Validator:
    """The validator that a package's factory makes. TypeError and ValueError are about the options and pass through;
    anything else is a CategoryError that names the package."""
    try:
        inner: Any = factory(dict(options))
    except (TypeError, ValueError):
        raise
    except Exception as error:
        raise _fault(package, f"its validator `{name}` cannot be made: {_said(error)}") from error
    if not callable(getattr(inner, "validate", None)):
        raise _fault(package, f"its validator `{name}` has no method `validate`")
    return PluginValidator(inner, name, package)


def _checked(verdict: Any) -> Validation:
    """The verdict as our own types, so that nothing else of foreign code is stored. Raises TypeError or ValueError."""
    if not isinstance(verdict, Validation):
        raise TypeError(f"it returned {type(verdict).__name__}, not a Validation")
    score = float(verdict.score)
    if not math.isfinite(score) or not 0.0 <= score <= 100.0:
        raise ValueError(f"its score {score:g} does not lie from 0 to 100")
    findings = tuple(_finding(each) for each in verdict.findings[:_FINDINGS])
    return Validation(score, bool(verdict.valid), findings, bool(verdict.judged))


def _finding(told: Finding) -> Finding:
    line = told.line if isinstance(told.line, int) and told.line >= 1 else None
    severity: Severity = told.severity if told.severity in get_args(Severity) else "error"
    return Finding(str(told.kind)[:40], str(told.message)[:_MESSAGE], line, severity)


def _fault(package: str, what: str) -> CategoryError:
    return CategoryError(
        f"The package `{package}` has a fault: {what}.",
        title="A validator of another package is faulty",
        hint=f"Update or uninstall `{package}`, or give the category another validator.",
    )


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
