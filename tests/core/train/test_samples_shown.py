"""Examples as the trainer reads them, told by the process that tokenises them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from training_kit import items, pairs, thumbs

from assets import ASSETS
from core.errors import FinetuneError, RunError
from core.train import samples as child
from core.train.own_process import in_own_process
from core.train.samples import read_samples, samples
from storage.rows import DatasetItem

BASE = ASSETS / "demo" / "model"


def task(made: list[DatasetItem], method: str = "sft", max_length: int = 512) -> dict[str, Any]:
    return {"base": str(BASE), "method": method, "max_length": max_length, "items": [asdict(one) for one in made]}


def test_every_item_has_its_rows_or_a_reason() -> None:
    good, empty = items(1)[0], replace(items(1)[0], target=" ")
    told = samples(task([good, empty]))
    (row,) = told["shown"][0]["rows"]
    assert row["answer"].startswith(good.target.strip()) and row["answer"].endswith("<end>")
    assert good.prompt in row["prompt"] and told["shown"][0]["reason"] == ""
    assert told["shown"][1] == {"rows": [], "reason": "empty answer"}
    assert told["left_out"] == {"empty answer": 1}
    assert (told["tokens"], told["learned"]) == (row["prompt_tokens"] + row["answer_tokens"], row["answer_tokens"])
    assert (told["total"], told["longest"]) == (2, told["tokens"])


def test_a_pair_has_two_rows_and_a_thumb_its_own() -> None:
    pair = samples(task(pairs(1), "dpo"))["shown"][0]["rows"]
    assert [row["kind"] for row in pair] == ["chosen", "rejected"]
    made = thumbs(3)
    shown = samples(task(made, "kto"))["shown"]
    assert all(one["rows"][0]["answer"].startswith(item.target) for one, item in zip(shown, made, strict=True))


def test_all_are_counted_and_the_first_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "MOST", 2)
    told = samples(task(items(5)))
    assert len(told["shown"]) == 2 and told["total"] == 5
    assert told["tokens"] > sum(row["prompt_tokens"] for one in told["shown"] for row in one["rows"])


@pytest.mark.process
def test_the_process_tells_what_the_function_does() -> None:
    made = items(3)
    found = read_samples(BASE, made, method="sft", max_length=512)
    told = samples(task(made))
    assert (found.total, found.tokens, found.longest) == (3, told["tokens"], told["longest"])
    assert asdict(found.shown[0].rows[0]) == told["shown"][0]["rows"][0]


@pytest.mark.process
def test_a_folder_without_a_tokenizer_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="tokenizer of the base model cannot be used"):
        read_samples(tmp_path, items(1), method="sft", max_length=512)


@pytest.mark.process
def test_the_process_ends_when_nobody_waits_for_it() -> None:
    def stop() -> None:
        raise FinetuneError("Enough.")

    with pytest.raises(FinetuneError, match="Enough"):
        in_own_process("core.train.samples", task(items(1)), stop)
