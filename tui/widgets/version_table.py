"""Two versions in one table: the better figure is marked by a glyph and bold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from tui.text import safe
from tui.versions.version_compare import VersionDifference

_VALUE = 34


def comparison_content(
    names: tuple[str, str], tables: Mapping[str, Sequence[VersionDifference]], shared: tuple[int, int, int]
) -> Content:
    """All tables under the names of both; `shared` counts the events of only one, both, only the other."""
    rows = [row for table in tables.values() for row in table]
    label = max((len(row.label) for row in rows), default=0)
    width = min(_VALUE, max((len(row.values[0]) for row in rows), default=0) + 3)
    width = max(width, len(names[0]) + 3)
    lines = [
        Content.assemble(
            " " * (label + 2),
            safe(f"  {names[0]:<{width - 2}}", "bold", one_line=True),
            safe(f"  {names[1]}", "bold", one_line=True),
        )
    ]
    for title, table in tables.items():
        lines.append(Content.styled(f"\n{title}", "bold $text-accent"))
        lines += [_line(row, label, width) for row in table] or [Content.styled("nothing differs", "$text-muted")]
    only, both, other = shared
    if only or both or other:
        lines.append(
            safe(
                f"{both:,} events are in both, {only:,} only in {names[0]}, {other:,} only in {names[1]}", one_line=True
            )
        )
    return Content("\n").join(lines)


def _line(row: VersionDifference, label: int, width: int) -> Content:
    marks = ["✓ " if row.better == place else "  " for place in (0, 1)]
    first = f"{marks[0]}{row.values[0]}"
    return Content.assemble(
        safe(f"{row.label:<{label}}  ", "$text-muted", one_line=True),
        safe(f"{first:<{width}}", "bold" if row.better == 0 else "", one_line=True),
        safe(f"{marks[1]}{row.values[1]}", "bold" if row.better == 1 else "", one_line=True),
    )
