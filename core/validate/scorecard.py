"""A score from weighted parts, each lost point with its finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from core.validate.validator import Finding, Severity, Validation

INVALID_CAP: Final = 20.0
MAX_FINDINGS: Final = 100


def weights_from(options: Mapping[str, Any], defaults: Mapping[str, float]) -> Mapping[str, float]:
    """The `weights` of the options over the defaults: points by part, 0-1000. Raises ValueError that names the key."""
    given = options.get("weights", {})
    if not isinstance(given, Mapping):
        raise ValueError("`weights` must be a table of points by part")
    for part, points in given.items():
        if part not in defaults:
            raise ValueError(f"`weights.{part}` is none of {', '.join(defaults)}")
        if isinstance(points, bool) or not isinstance(points, int | float) or not 0.0 <= points <= 1000.0:
            raise ValueError(f"`weights.{part}` must be a number from 0 to 1000")
    weights = {**defaults, **{str(part): float(points) for part, points in given.items()}}
    if not any(weights.values()):
        raise ValueError("`weights` must leave a part that counts")
    return weights


def weighed(weights: Mapping[str, float], shares: Mapping[str, float | None], findings: list[Finding]) -> Validation:
    """The verdict on a valid response: `shares` are 0-1 by part; None drops a part out, the rest is scaled to 100."""
    total = earned = 0.0
    for part, share in shares.items():
        if share is not None:
            total += weights[part]
            earned += weights[part] * min(max(share, 0.0), 1.0)
    return Validation(min(100.0 * earned / total, 100.0) if total else 100.0, True, _listed(findings))


def refused(findings: list[Finding], read: float = 0.0) -> Validation:
    """The verdict on a response that is not valid; `read` (0-1) says how much of it could be read."""
    return Validation(min(max(read, 0.0), 1.0) * INVALID_CAP, False, _listed(findings))


def at(line: int | None, kind: str, message: str, severity: Severity = "error") -> Finding:
    """A finding whose message names its line, where it has one."""
    return Finding(kind, message if line is None else f"line {line}: {message}", line, severity)


def named(expected: Mapping[str, object] | None, key: str) -> list[str]:
    """The list of texts that `expected` holds under `key`, else an empty one."""
    names = (expected or {}).get(key)
    if not isinstance(names, Iterable) or isinstance(names, str | bytes):
        return []
    return [str(name) for name in names]


def clipped(value: object, most: int = 60) -> str:
    """A text for a message: on one line, not too long, and nothing in it that cannot be written as UTF-8."""
    shown = " ".join(str(value)[: most * 4].encode("utf-8", "replace").decode().split())
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _listed(findings: list[Finding]) -> tuple[Finding, ...]:
    findings.sort(key=lambda finding: finding.line or 0)
    more = len(findings) - MAX_FINDINGS
    if more <= 0:
        return tuple(findings)
    return (*findings[:MAX_FINDINGS], Finding("more", f"and {more} more of these", None, "info"))
