"""The report of one version, written where a person finds it: into the home's exports folder."""

from __future__ import annotations

from pathlib import Path

from core.paths import Home, write_whole


def write_report(home: Home, version_name: str) -> Path:
    """Write the page and return its path; a report of the same version is written anew. Raises FinetuneError."""
    from core.loop import LearningLoop
    from core.release.registry import code_version
    from core.report.contents import Asked, contents
    from core.report.page import page

    with LearningLoop(home) as loop:
        found = contents(
            loop.store,
            home,
            loop.config,
            loop.categories,
            Asked(version=version_name),
            next_steps={one: loop.next_step(one) for one in loop.categories},
        )
    target = home.exports / f"report-{version_name}.html"
    write_whole(target, page(found, code_version=code_version()))
    return target
