"""What would come of the form as it stands, in words: memory, data, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from textual.content import Content

from core.errors import FinetuneError
from core.train.preflight import FEW
from tui.runs.plan import DataOutlook, MemoryVerdict
from tui.tabs import key_of
from tui.text import safe
from tui.widgets.mix_bar import mix_bar
from tui.widgets.run_fields import told
from tui.words import counted

if TYPE_CHECKING:
    from core.train.samples import Samples

_UNITS: Final = {"sft": "example", "dpo": "pair", "kto": "thumb"}
_ADVICE: Final = {
    "sft": f"{key_of('review')} opens Review: what you confirm or correct becomes an example.",
    "dpo": f"{key_of('review')} opens Review: every correction (c) makes a pair; so does every choice in Rank "
    f"({key_of('rank')}). `finetune-tui preferences CATEGORY --infer` makes pairs of answers to one prompt.",
    "kto": f"{key_of('review')} opens Review: mark good answers (g) as well as bad ones (b). SFT and DPO "
    "need no thumbs.",
}
_BAR: Final = 36
_ROOM: Final = 48  # columns of the form where it is narrowest
_TIERS: Final = "gold silver bronze rejected"
_STAGES: Final = "easy medium hard"


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


def data_text(data: DataOutlook, method: str, start: str = "", tokens: str = "") -> Content:
    """How much there is to train on by a method, its mix by kind and tier, what is kept apart and what was held back.

    `start` names the version to go on from; `tokens` says how many there are, empty while nobody has counted them.
    """
    if data.crowd:
        return _crowd_text(data)
    counts, unit = data.counts, _UNITS[method]
    train = counts.get("train", 0)
    number = train if isinstance(train, int) else 0
    glyph, colour = ("✗", "$text-error") if data.problem else ("!" if number < FEW else "✓", "$text-success")
    few = f": few, {FEW} or more teach reliably" if not data.problem and number < FEW else ""
    colour = "$text-warning" if few else colour
    head = Content.assemble("Data    ", (f"{glyph} {counted(number, unit)} to train on{few}", f"bold {colour}"))
    if not counts.get("considered") and method == "sft":
        return Content.assemble(
            head,
            f"\nNothing is recorded in this category. {key_of('dashboard')} opens the dashboard: d loads examples.",
        )
    lines = [head]
    if data.problem and number:
        lines.append(safe(data.problem, "$text-error"))
    if start and not number and counts.get("eligible"):
        lines.append(safe(f"{start} has learned all of it already. Begin with a fresh adapter to train on it anew."))
    if data.problem:
        lines.append(safe(_ADVICE[method]))
    lines += [mix_bar(data.mix, _BAR, _ROOM)]
    lines += [_titled(title, mix_bar(found, _BAR, _ROOM)) for title, found in _groups(counts)]
    if number:
        lines.append(Content.assemble(("tokens: ", "$text-muted"), tokens or "v shows the examples and counts them"))
    lines += [_apart(counts), safe(data.summary)]
    return Content("\n").join(line for line in lines if line.plain)


def _crowd_text(data: DataOutlook) -> Content:
    """Too many are recorded to look through them here."""
    bars = [_titled(title, mix_bar(found, _BAR, _ROOM)) for title, found in _groups(data.counts)]
    return Content("\n").join(
        [
            Content.assemble("Data    ", (f"{data.crowd:,} outputs to choose from", "bold")),
            *bars,
            Content("Which of them are trained on is worked out at the start; among so many it takes minutes."),
        ]
    )


def tokens_text(samples: Samples) -> str:
    """How many tokens an epoch reads, how many of them are learned, and what cannot be learned from."""
    text = f"{samples.tokens:,} an epoch, {samples.learned:,} of them learned; longest example {samples.longest:,}"
    return "; ".join([text, *(f"{count}: {reason}" for reason, count in samples.left_out.items())])


def _titled(title: str, body: Content) -> Content:
    return Content.assemble((f"{title}\n", "$text-muted"), body) if body.plain else body


def _groups(counts: Mapping[str, object]) -> list[tuple[str, Mapping[str, int]]]:
    """Tiers and difficulty of what is trained on, where the selection tells them."""
    known = (("by tier", counts.get("tiers"), _TIERS), ("by difficulty", counts.get("stages"), _STAGES))
    return [
        (title, {name: int(found[name]) for name in sorted(found, key=lambda one: (order.find(one), one))})
        for title, found, order in known
        if isinstance(found, Mapping)
    ]


def _apart(counts: Mapping[str, object]) -> Content:
    """The sides that are not trained on."""
    text = f"{counts.get('validation', 0)} watch the training · {counts.get('test', 0)} are kept for the test"
    return Content.assemble(("apart: ", "$text-muted"), text)


def fault_text(what: str, error: BaseException) -> Content:
    """Why something cannot be told, and what to do."""
    hint = f"\n{error.hint}" if isinstance(error, FinetuneError) and error.hint else ""
    message = error.message if isinstance(error, FinetuneError) else str(error)
    return Content.assemble(f"{what:<7} ", ("✗ ", "$text-error"), safe(message), safe(hint))
