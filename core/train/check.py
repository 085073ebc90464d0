"""The process that takes one step of a run without beginning it: `python -m core.train.check FOLDER`.

The folder holds task.json (see `core.train.own_process`); the process leaves result.json there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from core.errors import FinetuneError, RunError
from core.train.base_model import read_config
from core.train.config import TrainSettings
from core.train.data import Encoder, Lesson
from core.train.footprint import Load
from core.train.loading import load_tokenizer, use_free_cores
from core.train.masked import masked
from core.train.memory import detect_device, estimate, out_of_memory
from core.train.own_process import as_process
from core.train.parallel import ALONE
from core.train.peak import PeakMemory
from core.train.reference import with_reference
from core.train.session import open_session
from core.train.step import Work, learn
from core.train.trainer import RECIPES
from storage.rows import DatasetItem


def check(told: Mapping[str, Any]) -> dict[str, Any]:
    """One step on the longest examples that fill a pass, and the first two rows as the model sees them.

    The peak of the step stands beside what the memory plan says for just these examples. Raises FinetuneError.
    """
    settings = TrainSettings.from_mapping(told["settings"])
    base, start = Path(told["base"]), Path(told["start"]) if told["start"] else None
    use_free_cores()
    tokenizer = load_tokenizer(base)
    encoded = Encoder(tokenizer, settings.max_length).encode_items(
        [DatasetItem(**values) for values in told["items"]], settings.method
    )
    if not encoded.lessons:
        raise RunError(
            f"None of the {len(told['items'])} training examples can be learned from: {', '.join(encoded.counts)}.",
            hint="Label more examples, or raise the maximum length.",
        )
    longest = _fullest(encoded.lessons, settings.token_budget)
    notes: list[str] = []
    began = time.monotonic()
    with PeakMemory() as watched:
        session = open_session(base, settings, tokenizer, start=start)
        opened = time.monotonic()
        recipe = RECIPES[settings.method]()
        work = Work(session, recipe, ALONE, notes.append)
        lessons = with_reference(work, longest, None, "") if recipe.needs_reference else longest
        stepped = time.monotonic()
        learned = learn(work, lessons)
        ended = time.monotonic()
    # The second answer of kto is only looked at.
    computed = (
        [replace(one, examples=one.examples[:1], shared=0) for one in lessons] if settings.method == "kto" else lessons
    )
    plan = estimate(read_config(base), settings, detect_device(), Load.of(computed))
    on_gpu = session.device.type == "cuda"
    return {
        "rows": [asdict(row) for row in masked(tokenizer, encoded.lessons, method=settings.method)],
        "examples": len(encoded.lessons),
        "left_out": dict(encoded.counts),
        "tokens": sum(lesson.cost for lesson in encoded.lessons),
        "longest": max(len(example.ids) for lesson in encoded.lessons for example in lesson.examples),
        "step_examples": len(lessons),
        "step_tokens": sum(lesson.cost for lesson in lessons),
        "loss": learned.loss,
        "gradient_norm": learned.norm,
        "load_seconds": opened - began,
        "step_seconds": ended - stepped,
        "peak_bytes": watched.total(session.model, session.device),
        # torch does not count the context that CUDA keeps for itself.
        "planned_bytes": plan.total - (plan.parts["libraries"] if on_gpu else 0),
        "device": session.device.type,
        "notes": notes,
    }


def _fullest(lessons: Sequence[Lesson], token_budget: int) -> list[Lesson]:
    """The longest lessons, as many as one pass may hold, at least one."""
    chosen: list[Lesson] = []
    room = token_budget
    for lesson in sorted(lessons, key=lambda one: -one.cost):
        if chosen and lesson.cost > room:
            break
        chosen.append(lesson)
        room -= lesson.cost
    return chosen


def _unexpected(error: Exception) -> FinetuneError:
    what = "The memory did not suffice." if out_of_memory(error) else f"Unexpected {type(error).__name__}: {error}"
    return RunError(what, title="The check failed")


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point of the process."""
    return as_process("core.train.check", check, _unexpected, arguments)


if __name__ == "__main__":
    sys.exit(main())
