"""What would come of the form as it stands, in words: memory, data, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from core.errors import FinetuneError
from tui.run_plan import MemoryVerdict
from tui.text import safe
from tui.widgets.version_details import count_lines


def memory_text(memory: MemoryVerdict) -> Content:
    """The verdict with its figures, and the settings that would fit."""
    glyph, colour = {"fits": ("✓", "$text-success"), "tight": ("!", "$text-warning")}.get(
        memory.verdict, ("✗", "$text-error")
    )
    lines = [Content.assemble("Memory  ", (f"{glyph} ", f"bold {colour}"), safe(memory.sentence, colour))]
    if memory.suggestion:
        changes = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in memory.suggestion.items())
        lines.append(Content.assemble(("F2 makes it fit: ", "bold"), safe(changes)))
    elif memory.verdict == "does not fit":
        lines.append(Content("No setting makes it fit. Choose a smaller base model."))
    if memory.missing:
        lines.append(safe(memory.missing, "$text-warning"))
    return Content("\n").join(lines)


def data_text(summary: str, counts: Mapping[str, object]) -> Content:
    """How many examples there are to train on, what was held back, and the mix."""
    train = counts.get("train", 0)
    glyph, colour = ("✓", "$text-success") if train else ("✗", "$text-error")
    head = Content.assemble("Data    ", (f"{glyph} {train} to train on", f"bold {colour}"))
    advice = ""
    if not counts.get("considered"):
        return Content.assemble(
            head, "\nNothing is recorded in this category. 1 opens the dashboard: d loads examples."
        )
    if not train:
        advice = "\n2 opens Review: what you confirm or correct becomes an example."
    mix = count_lines({name: value for name, value in counts.items() if name != "held_back"})
    return Content.assemble(head, "\n", safe(summary), "\n", mix, advice)


def fault_text(what: str, error: BaseException) -> Content:
    """Why something cannot be told, and what to do."""
    hint = f"\n{error.hint}" if isinstance(error, FinetuneError) and error.hint else ""
    message = error.message if isinstance(error, FinetuneError) else str(error)
    return Content.assemble(f"{what:<8}", ("✗ ", "$text-error"), safe(message), safe(hint))
