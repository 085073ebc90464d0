"""What a file would bring, and what became of its rows, in words."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from core.capture.preview import Preview, Sample, SourcePreview
from core.errors import FinetuneError
from core.release.base_file import SHIPPED
from tui.file_import import Imported
from tui.tabs import key_of
from tui.text import safe
from tui.words import counted, number

_SAMPLE = 300
_UNJUDGED = (
    "None of them says how good it is, so that nothing is learned from them yet: Review asks you which are good."
)
_TINY = (
    f"Its base model is {SHIPPED}, a tiny one that has only ever drawn ER diagrams: good to try the loop, not to get "
    f"good answers. {key_of('settings')} Settings and the form of a run name another."
)
TAKES = Content.assemble(("ctrl+s", "bold $text-accent"), " takes all of it in.")


def preview_content(found: Preview, known: Sequence[str] = ()) -> Content:
    """Format, columns and the first outputs of each source, and what would be refused with the reasons; `known`
    categories are offered where a file names none."""
    blocks: list[Content] = []
    for source in found.sources:
        head = Content.assemble(
            ("✓ ", "$text-success"), safe(source.title, "bold", one_line=True),
            safe(f"  {source.name}", "$text-muted", one_line=True, limit=80),
        )  # fmt: skip
        lines = [head, Content(f"  of the first {counted(source.rows, 'row')} {source.refused:,} would be refused")]
        lines += [safe(f"    {n:,} × {reason}", "$text-warning", one_line=True) for reason, n in source.reasons.items()]
        if _unjudged(source):
            lines.append(Content.styled(f"  {_UNJUDGED}", "$text-muted"))
        samples = source.samples[:4] if source.refused < source.rows else source.samples[:1]
        lines += [_sample(sample) for sample in samples]
        if source.mapping:
            told = ", ".join(f"{field} ← {column}" for field, column in source.mapping.items())
            lines.append(safe(f"  {told}", "$text-muted", one_line=True, limit=300))
        blocks.append(Content("\n").join(lines))
    for name, reason in found.left_out.items():
        blocks.append(Content.assemble(("– ", "$text-muted"), safe(f"{name}: {reason}", "$text-muted", one_line=True)))
    if not takes_any(found) and any("category" in reason for source in found.sources for reason in source.reasons):
        blocks.append(Content.styled("→ Name the category above (enter goes there): what kind of task it is.", "bold"))
        blocks.append(safe(f"A word of your own, or one of: {', '.join(known)}", "$text-muted", one_line=True))
    return Content("\n\n").join(blocks)


def new_category_content(name: str, known: Sequence[str], fault: str, base: str) -> Content:
    """What is said of a category that is not there; `fault` is why it cannot be made, empty where it can, `base` the
    model that would be trained for it."""
    lines = [safe(f"There is no category `{name}` yet.", "bold", one_line=True, limit=80)]
    if fault:
        lines.append(safe(f"It cannot be made: {fault}", "$text-warning", one_line=True))
    else:
        lines.append(
            Content.assemble(
                ("ctrl+n", "bold $text-accent"),
                f" makes it: any text, with no checks until {key_of('settings')} Settings names a validator.",
            )
        )
        if base == SHIPPED:
            lines.append(Content.styled(_TINY, "$text-muted"))
    return Content("\n\n").join([*lines, safe(f"Known are: {', '.join(known)}", "$text-muted", one_line=True)])


def takes_any(found: Preview) -> bool:
    """Whether any of the rows that were looked at would be stored."""
    return any(source.refused < source.rows for source in found.sources)


def _unjudged(source: SourcePreview) -> bool:
    stored = [sample for sample in source.samples if not sample.problem]
    return bool(stored) and all(sample.tier == "rejected" and sample.verdict is None for sample in stored)


def _sample(sample: Sample) -> Content:
    if sample.problem:
        return safe(f"  line {sample.line}: {sample.problem}", "$text-warning", one_line=True, limit=_SAMPLE)
    facts = [sample.category, f"score {number(sample.score, 0)}", sample.tier]
    facts += [sample.verdict] if sample.verdict else []
    return Content.assemble(
        safe(f"  {' · '.join(facts)}  ", "$text-muted", one_line=True, limit=80),
        safe(sample.prompt, one_line=True, limit=_SAMPLE),
        ("  →  ", "$text-muted"),
        safe(sample.response, one_line=True, limit=_SAMPLE),
    )


def account(done: Imported) -> Content:
    """What became of every row."""
    counts = done.counts
    start = ("Stopped. ", "bold $text-warning") if done.stopped else ("✓ Done. ", "bold $text-success")
    lines = [
        Content.assemble(start, f"{counts.read:,} rows = {counts.accepted:,} new + {counts.merged:,} known already"
                                f" + {counts.rejected:,} refused"),
    ]  # fmt: skip
    if done.stopped:
        lines.append(Content("What was read is kept. Importing the same file again goes on there."))
    if done.rejects_file is not None:
        lines.append(safe(f"What was refused, with line and reason: {done.rejects_file}", one_line=True))
    return Content("\n").join(lines)


def fault_content(error: BaseException) -> Content:
    """Why it cannot be imported, and what to do."""
    told = [error.message, error.hint] if isinstance(error, FinetuneError) else [f"{type(error).__name__}: {error}"]
    return Content("\n").join(
        [Content.assemble(("✗ ", "$text-error"), safe(told[0])), *(safe(f"→ {hint}") for hint in told[1:] if hint)]
    )
