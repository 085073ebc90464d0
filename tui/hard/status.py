"""What stands above the tree of hard negatives, and what stands in its place while there is none."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from core.validate.feedback import FAILURE_BELOW
from tui.hard.items import HardList, counts
from tui.hard.jobs import Job
from tui.hard.tree import FILTERS, HardTree
from tui.tabs import key_of
from tui.text import safe
from tui.widgets.progress_line import bar
from tui.words import counted

_BAR = 12


def status_line(tree: HardTree, job: Job | None, note: str, *, patterns_come: bool) -> Content:
    """Category, filter and search, what is left to do; then what is being done, or what came of the last thing."""
    found = tree.found
    parts = [
        safe(found.category or "no category", "bold", one_line=True, limit=30),
        Content.assemble(f"{tree.count:,} ", (tree.filter, "bold $text-accent")),
    ]
    if tree.text:
        parts.append(Content.assemble("with “", safe(tree.text, one_line=True, limit=40), "”"))
    if job is not None:
        parts.append(_job(job))
        return Content(" · ").join(parts)
    if note:
        parts.append(safe(note, "$text-success", one_line=True, limit=200))
    waiting = sum(FILTERS["to correct"](each) for each in found.every)
    solved = counts(found)["solved"]
    if waiting:
        parts.append(Content(f"{waiting:,} wait for a correction"))
    if solved:
        parts.append(Content.styled(f"✓ {solved:,} solved", "$text-success"))
    if found.left_out:
        parts.append(Content.styled(f"the worst of {len(found.every) + found.left_out:,}", "$text-warning"))
    if found.pinned:
        parts.append(Content.styled(f"+ {len(found.pinned):,} asked for", "$text-accent"))
    if patterns_come:
        parts.append(Content.styled("looking for patterns…", "$text-muted"))
    return Content(" · ").join(parts)


def _job(job: Job) -> Content:
    who = Content.assemble(" ", safe(job.version, one_line=True, limit=40)) if job.version else Content("")
    state = " stopping…" if job.stopping else " x stops"
    if job.kind == "answering":
        return Content.assemble(("● answering again", "$text-primary"), who, state)
    share = job.done / job.total if job.total else 0.0
    return Content.assemble(
        ("● testing", "$text-primary"), who, " ", (bar(share, _BAR), "$text-primary"), f" {job.done}/{job.total}", state
    )


def nothing_here(found: HardList, tree: HardTree) -> tuple[str, Sequence[tuple[str, str]]]:
    """Title and lines: what a hard negative is, that none is known, and the keys that bring some."""
    if found.every:
        lines = [("f", "shows others"), *([("esc", "ends the search")] if tree.text else [])]
        what = f"{counted(len(found.every), 'hard negative')} of {found.category} stand elsewhere."
        return f"Nothing is “{tree.filter}”" + (" with these words." if tree.text else "."), [("", what), *lines]
    what = f"it scored below {FAILURE_BELOW:.0f}, was called bad, or a new version lost an A/B test on its prompt."
    lines = [
        ("", f"A hard negative is an output on which the model failed: {what}"),
        ("", ""),
        (key_of("review"), "opens Review: b marks a bad answer, c corrects one"),
        (key_of("scoreboard"), "opens the Scoreboard: prompts that a new version loses appear here"),
        (key_of("playground"), "opens the Playground: ask, and say what was bad"),
    ]
    if len(found.categories) > 1:
        lines.append(("a", "shows the next category"))
    where = f" in {found.category}" if found.category else ""
    return f"No hard negative is known{where}.", lines
