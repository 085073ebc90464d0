"""The process of one trial of a search: `python -m core.search.trial --home FOLDER --folder FOLDER --parent PID`.

It trains on the frozen dataset and lets the result answer validation prompts; no version comes of it. In its folder it
reads `task.json`, appends its figures to `progress.jsonl`, and leaves `result.json` at its end. Killed or stopped, the
same trial goes on from its last checkpoint. It ends when the process that started it is gone.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from io import TextIOBase
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from core.categories import category, load_categories
from core.config import load_config
from core.errors import FinetuneError, RunError
from core.paths import Home, write_whole
from core.search.process import LOCK, PROGRESS, RESULT, TASK
from core.train.checkpoints import ADAPTER
from core.train.config import TrainSettings
from core.train.memory import out_of_memory
from core.train.presets import resolve_base
from core.train.session import load_tokenizer, open_session
from core.train.sft import Task, train
from core.validate.registry import validated, validator_for
from storage import datasets, events
from storage.db import open_store
from storage.rows import DatasetItem

MOST_PROMPTS = 24  # answers are what a trial costs beyond its training
_AT_ONCE = 8


class Lines:
    """The figures of a trial as lines of JSON, and the wish to stop."""

    def __init__(self, file: TextIOBase, parent: int) -> None:
        self._file = file
        self._parent = parent
        self._stopped = False
        self._file.write("\n")  # a kill may have left half a line

    def step(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        """See `core.train.reporter.Progress`."""
        self._file.write(json.dumps({"step": step, "total": total_steps, "values": dict(values)}) + "\n")
        self._file.flush()

    def note(self, text: str) -> None:
        """A line of the log, which is standard output."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def stop(self) -> None:
        """Asks for an end at the next step; for signal handlers."""
        self._stopped = True

    def should_stop(self) -> bool:
        """Whether somebody asked for a stop, or nobody waits for the result any more."""
        return self._stopped or os.getppid() != self._parent


def perform(home: Home, folder: Path, lines: Lines) -> dict[str, Any]:
    """Trains and answers; what becomes `result.json`. Raises FinetuneError."""
    told = json.loads((folder / TASK).read_text(encoding="utf-8"))
    settings = TrainSettings.from_mapping(told["settings"])
    base = resolve_base(told["base"], home)
    with open_store(home.store, create=False) as store:
        items = datasets.items(store, told["dataset_id"])
        validation = [item for item in items if item.split == "validation"]
        asked = validation[:MOST_PROMPTS]
        known = {event.id: event.metadata for event in events.get_many(store, [item.event_id for item in asked])}
    result = train(
        Task(base.path, [item for item in items if item.split == "train"], validation, settings, folder, resume=True),
        lines,
    )
    if result.status == "stopped" or result.adapter is None:
        return {"status": "stopped"}
    if result.base_loss is None or result.best_loss is None:
        raise RunError(
            "No validation example fits the maximum length, so trials cannot be compared.",
            hint="Raise the maximum length, and begin another search.",
        )
    gc.collect()
    most = load_config(home).publish.max_tokens
    answers = _answers(base.path, result.adapter, asked, settings=settings, max_tokens=most, lines=lines)
    if lines.should_stop():
        return {"status": "stopped"}
    own = category(load_categories(home), told["category"])
    validator = validator_for(own)
    verdicts = [validated(validator, text, item.prompt, known.get(item.event_id, {})) for item, text in answers]
    judged = bool(verdicts) and all(verdict.judged for verdict in verdicts)
    return {
        "status": "finished",
        "score": fmean(verdict.score for verdict in verdicts) if judged else None,
        "loss": result.best_loss,
        "base_loss": result.base_loss,
    }


def _answers(
    base: Path, adapter: Path, asked: Sequence[DatasetItem], *, settings: TrainSettings, max_tokens: int, lines: Lines
) -> list[tuple[DatasetItem, str]]:
    """Greedy answers of the trained model. A prompt beyond the maximum length is not asked; a stop leaves the rest."""
    from transformers import GenerationConfig

    tokenizer = load_tokenizer(base)
    session = open_session(base, settings, tokenizer, start=adapter / ADAPTER)
    model = session.model.eval()
    own_ends = model.generation_config.eos_token_id
    ends = [tokenizer.eos_token_id, *(own_ends if isinstance(own_ends, list) else [own_ends])]
    how = GenerationConfig(
        do_sample=False,
        max_new_tokens=min(max_tokens, settings.max_length),
        eos_token_id=sorted({int(end) for end in ends if end is not None}) or None,
        pad_token_id=session.pad_id,
    )
    prompts = [(item, tokenizer(_rendered(tokenizer, item), add_special_tokens=False)["input_ids"]) for item in asked]
    fitting = sorted(((i, ids) for i, ids in prompts if len(ids) < settings.max_length), key=lambda one: len(one[1]))
    found: list[tuple[DatasetItem, str]] = []
    for first in range(0, len(fitting), _AT_ONCE):
        if lines.should_stop():
            break
        group = fitting[first : first + _AT_ONCE]
        width = max(len(ids) for _, ids in group)
        padded = torch.tensor([[session.pad_id] * (width - len(ids)) + ids for _, ids in group], device=session.device)
        seen = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for _, ids in group], device=session.device)
        with torch.inference_mode(), torch.autocast(session.device.type, dtype=torch.bfloat16, enabled=session.bf16):
            written = model.generate(input_ids=padded, attention_mask=seen, generation_config=how, use_cache=True)
        texts = tokenizer.batch_decode(written[:, width:], skip_special_tokens=True)
        found += [(item, text) for (item, _), text in zip(group, texts, strict=True)]
    return found


def _rendered(tokenizer: Any, item: DatasetItem) -> str:
    turns = [{"role": "system", "content": item.system}] if item.system else []
    turns += [{"role": turn["role"], "content": turn["content"]} for turn in item.history]
    turns += [{"role": "user", "content": item.prompt}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def _outcome(home: Home, folder: Path, lines: Lines) -> dict[str, Any]:
    """What `perform` gives, or its error in words."""
    try:
        return perform(home, folder, lines)
    except FinetuneError as error:
        lines.note(f"{error.title}: {error}")
        return {"status": "failed", "title": error.title, "message": error.message, "hint": error.hint}
    except Exception as error:  # noqa: BLE001  the boundary of the process: whatever it is, the search must hear of it
        lines.note(traceback.format_exc())
        what = "The memory did not suffice." if out_of_memory(error) else f"Unexpected {type(error).__name__}: {error}"
        return {"status": "failed", "title": "The trial failed", "message": what, "hint": f"See {folder / 'log.txt'}."}


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point of the process."""
    parser = argparse.ArgumentParser(prog="core.search.trial")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args(arguments)
    started = time.monotonic()
    folder: Path = given.folder
    with (folder / LOCK).open("a") as lock, (folder / PROGRESS).open("a", encoding="utf-8") as file:
        # The process of a killed search may still be at the step that it ends after.
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = Lines(file, given.parent)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: lines.stop())
        outcome = _outcome(Home(given.home), folder, lines)
        write_whole(folder / RESULT, json.dumps({**outcome, "seconds": time.monotonic() - started}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
