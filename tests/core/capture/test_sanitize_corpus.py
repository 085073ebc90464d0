"""Precision and recall on the labelled corpus (`pii_corpus.jsonl`, written by `make_pii_corpus.py`)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.sanitize import measure, replaced_spans
from core.capture.sanitize import sanitize

CORPUS: Final = Path(__file__).with_name("pii_corpus.jsonl")
ROWS: Final[list[dict[str, Any]]] = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
KINDS: Final = {"email", "phone", "ip", "card", "iban", "api_key", "private_key", "wallet", "mention"}


def test_the_corpus_is_large_and_a_third_of_it_is_held_out() -> None:
    positives = [row for row in ROWS if row["spans"]]
    assert len(positives) >= 450
    assert len(ROWS) - len(positives) >= 450
    assert 0.3 <= sum(row["set"] == "held_out" for row in ROWS) / len(ROWS) <= 0.36
    kinds = Counter(kind for row in ROWS for _, _, kind in row["spans"])
    assert set(kinds) == KINDS
    assert min(kinds.values()) >= 10


def test_every_label_lies_within_its_text_and_overlaps_no_other() -> None:
    for row in ROWS:
        end_before = 0
        for start, end, _ in row["spans"]:
            assert end_before <= start < end <= len(row["text"])
            end_before = end


@pytest.mark.parametrize(
    ("wanted", "least"), [(("tuning", "held_out"), 0.98), (("tuning",), 0.98), (("held_out",), 0.97)], ids=str
)
def test_precision_and_recall(wanted: set[str], least: float) -> None:
    total = measure([row for row in ROWS if row["set"] in wanted])["all"]
    assert total["precision"] >= least, total
    assert total["recall"] >= least, total


def test_every_kind_is_found_and_seldom_seen_where_it_is_not() -> None:
    for kind, figures in measure(ROWS).items():
        assert figures["recall"] >= 0.95, (kind, figures)
        assert figures["precision"] >= 0.93, (kind, figures)


def test_sanitising_the_corpus_twice_changes_nothing_more() -> None:
    for row in ROWS:
        once, _ = sanitize(row["text"])
        assert sanitize(once) == (once, {}), row["text"]


def test_a_wrong_boundary_counts_against_both_figures() -> None:
    row: dict[str, Any] = {"text": "mail a@x.org now", "spans": [[5, 11, "email"]], "set": "tuning"}
    assert replaced_spans(row["text"]) == {(5, 12, "email")}
    figures = measure([row])["all"]
    assert (figures["precision"], figures["recall"]) == (0.0, 0.0)
