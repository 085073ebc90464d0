"""What was proved of a model file: every check with its figure and bound, and whether it held, in words too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.content import Content

from tui.text import safe


def proof_content(checks: Sequence[Mapping[str, Any]]) -> Content:
    """The checks as text, failed ones first; a check has name, passed, figure, bound and detail."""
    if not checks:
        return Content.styled("Nothing is proved yet.", "$text-muted")
    width = min(30, max(len(str(check.get("name", ""))) for check in checks))
    lines = []
    for check in sorted(checks, key=lambda check: bool(check.get("passed"))):
        passed = bool(check.get("passed"))
        line = Content.assemble(
            ("✓ holds " if passed else "✗ fails ", "$text-success" if passed else "$text-error bold"),
            safe(f"{check.get('name', '')!s:<{width}}"),
        )
        for text, style in ((_figures(check), ""), (str(check.get("detail") or ""), "$text-muted")):
            if text:
                line = Content.assemble(line, "  ", safe(text, style, one_line=True))
        lines.append(line)
    return Content("\n").join(lines)


def _figures(check: Mapping[str, Any]) -> str:
    figure, bound = _figure(check.get("figure")), _figure(check.get("bound"))
    # A check that is met or not has nothing between: that no fault was found, or that all agree, stands in its detail.
    if not figure or (check.get("passed") and figure == bound and figure in ("0", "1") and check.get("detail")):
        return ""
    return f"{figure} (bound {bound})" if bound else figure


def _figure(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
