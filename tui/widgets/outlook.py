"""What would come of the form as it stands, in words: memory, data, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from textual.content import Content

from core.errors import FinetuneError
from core.train.preflight import FEW
from tui.run_plan import DataOutlook, MemoryVerdict
from tui.text import safe
from tui.widgets.run_fields import told
from tui.widgets.version_details import count_lines
from tui.words import counted

_UNITS: Final = {"sft": "example", "dpo": "pair", "kto": "thumb"}
_ADVICE: Final = {
    "sft": "2 opens Review: what you confirm or correct becomes an example.",
    "dpo": "2 opens Review: every correction (c) makes a pair. `finetune-tui preferences CATEGORY --infer` makes pairs "
    "of answers to one prompt.",
    "kto": "2 opens Review: mark good answers (g) as well as bad ones (b). SFT and DPO need no thumbs.",
}
_SUMMED: Final = ("considered", "eligible", "held_back")
"""Counts that the sentence tells already."""


def memory_text(memory: MemoryVerdict, more: Mapping[str, Any]) -> Content:
    """The verdict with its figures, the settings that would fit, and the `more` that go along without a field."""
    glyph, colour = {"fits": ("✓", "$text-success"), "tight": ("!", "$text-warning")}.get(
        memory.verdict, ("✗", "$text-error")
    )
    lines = [Content.assemble("Memory  ", (f"{glyph} ", f"bold {colour}"), safe(memory.sentence, colour))]
    if memory.suggestion:
        lines.append(Content.assemble(("F2 makes it fit: ", "bold"), safe(told(memory.suggestion))))
    elif memory.verdict == "does not fit":
        lines.append(Content("No setting makes it fit. Choose a smaller base model."))
    if more:
        lines.append(safe(f"With {told(more)}.", "$text-muted"))
    if memory.note:
        lines.append(safe(memory.note, "$text-muted"))
    if memory.missing:
        lines.append(safe(memory.missing, "$text-warning"))
    return Content("\n").join(lines)


def data_text(data: DataOutlook, method: str, start: str = "") -> Content:
    """How much there is to train on by a method, what was held back, the mix, and what to do where it is not enough;
    `start` names the version to go on from."""
    counts, unit = data.counts, _UNITS[method]
    train = counts.get("train", 0)
    number = train if isinstance(train, int) else 0
    glyph, colour = ("✗", "$text-error") if data.problem else ("!" if number < FEW else "✓", "$text-success")
    few = f": few, {FEW} or more teach reliably" if not data.problem and number < FEW else ""
    colour = "$text-warning" if few else colour
    head = Content.assemble("Data    ", (f"{glyph} {counted(number, unit)} to train on{few}", f"bold {colour}"))
    if not counts.get("considered") and method == "sft":
        return Content.assemble(
            head, "\nNothing is recorded in this category. 1 opens the dashboard: d loads examples."
        )
    lines = [head]
    if data.problem and number:
        lines.append(safe(data.problem, "$text-error"))
    if start and not number and counts.get("eligible"):
        lines.append(safe(f"{start} has learned all of it already. Begin with a fresh adapter to train on it anew."))
    if data.problem:
        lines.append(safe(_ADVICE[method]))
    lines += [safe(data.summary), *_sides(counts)]
    lines.append(count_lines({name: value for name, value in counts.items() if name not in _SUMMED}))
    return Content("\n").join(line for line in lines if line.plain)


def _sides(counts: Mapping[str, object]) -> list[Content]:
    """Where the pairs come from, or how many thumbs point up and down; nothing for answers."""
    sources = counts.get("pairs")
    if isinstance(sources, Mapping):
        return [Content.assemble(("pairs: ", "$text-muted"), safe(" · ".join(f"{k} {n}" for k, n in sources.items())))]
    if "desirable" in counts:
        return [safe(f"{counts['desirable']} liked · {counts['undesirable']} disliked")]
    return []


def fault_text(what: str, error: BaseException) -> Content:
    """Why something cannot be told, and what to do."""
    hint = f"\n{error.hint}" if isinstance(error, FinetuneError) and error.hint else ""
    message = error.message if isinstance(error, FinetuneError) else str(error)
    return Content.assemble(f"{what:<7} ", ("✗ ", "$text-error"), safe(message), safe(hint))
