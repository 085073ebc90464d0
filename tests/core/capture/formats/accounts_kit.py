"""What an import of each fixture must account for, worked out by reading the fixtures, and the files made in tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from exports_kit import LLM_ROWS

from core.capture.import_rows import ImportOptions
from core.capture.importing import Importer, ImportReport
from core.capture.record import Recorder
from core.categories import load_categories
from core.config import Config
from core.paths import Home
from storage.db import integrity_problems, open_store

FIXTURES = Path(__file__).parent / "fixtures"
# Its validator takes any text, so that the accounts depend on nothing but the formats.
CATEGORY = "human_correction"


class Account(NamedTuple):
    """The account of an import; `refused` holds the numbers of the rejected rows."""

    format: str
    read: int
    accepted: int
    merged: int
    refused: tuple[int, ...]
    events: int
    judged: int
    pairs: int
    parts: int = 0


EXPECTED = {
    "exports/argilla.json": Account("argilla", 5, 3, 0, (4, 5), 5, 2, 4),
    "exports/argilla_flat.json": Account("argilla", 1, 1, 0, (), 1, 1, 0, 1),
    "exports/chatgpt_bad.json": Account("chatgpt", 3, 0, 0, (1, 2, 3), 0, 0, 0),
    "exports/chatgpt_conversations.json": Account("chatgpt", 1, 1, 0, (), 3, 0, 0, 1),
    "exports/fastchat_battles.json": Account("fastchat", 2, 2, 0, (), 4, 2, 1),
    "exports/fastchat_log.jsonl": Account("fastchat", 7, 5, 0, (5, 7), 9, 3, 1, 1),
    "exports/kiln_passed.kiln": Account("kiln", 1, 1, 0, (), 1, 1, 0),
    "exports/kiln_repaired.kiln": Account("kiln", 1, 1, 0, (), 1, 1, 1),
    "exports/kiln_task.kiln": Account("kiln", 1, 0, 0, (1,), 0, 0, 0),
    # Row 7 asks what row 1 asked, and the annotators are split: nothing of it is new.
    "exports/label_studio.json": Account("label_studio", 8, 4, 1, (5, 6, 8), 7, 2, 6, 2),
    "exports/label_studio_min.json": Account("label_studio_min", 2, 2, 0, (), 3, 1, 2),
    "exports/langfuse_items.json": Account("langfuse", 3, 1, 0, (2, 3), 1, 1, 0),
    # The scores lie beside it: a correction for the first, a thumb for the third.
    "exports/langfuse_observations.json": Account("langfuse", 3, 2, 0, (2,), 2, 2, 1),
    "exports/langfuse_score_configs.json": Account("langfuse", 1, 0, 0, (1,), 0, 0, 0),
    "exports/langfuse_scores.json": Account("langfuse", 5, 0, 0, (1, 2, 3, 4, 5), 0, 0, 0),
    "exports/langfuse_traces.jsonl": Account("langfuse", 2, 1, 0, (2,), 1, 1, 0),
    # Two thumbs of one chat: the first brings both answers with both thumbs, and two liked ones make no pair.
    "exports/open_webui_both_liked.json": Account("open_webui_feedback", 2, 1, 1, (), 2, 2, 0),
    "exports/open_webui_chats.json": Account("open_webui_chats", 1, 1, 0, (), 3, 2, 1),
    "exports/open_webui_feedback.json": Account("open_webui_feedback", 2, 2, 0, (), 3, 2, 1),
    "exports/open_webui_feedback_bad.json": Account("open_webui_feedback", 6, 0, 0, (1, 2, 3, 4, 5, 6), 0, 0, 0),
    "exports/openpipe.jsonl": Account("openpipe", 3, 1, 0, (2, 3), 1, 1, 0, 1),
    "exports/prodigy.jsonl": Account("prodigy", 5, 3, 0, (4, 5), 5, 3, 3),
    # Rows 2 and 3 ask and answer what row 1 did.
    "exports/promptfoo.json": Account("promptfoo", 5, 1, 2, (4, 5), 3, 0, 2, 1),
    "training/alpaca.json": Account("alpaca", 7, 2, 0, (3, 4, 5, 6, 7), 2, 0, 0),
    "training/alpaca_preference.json": Account("alpaca_preference", 2, 1, 0, (2,), 2, 0, 1),
    "training/anthropic_hh.jsonl": Account("anthropic_hh", 3, 1, 0, (2, 3), 2, 0, 1),
    "training/artifact_loop.jsonl": Account("artifact_loop", 5, 2, 0, (3, 4, 5), 2, 1, 1, 1),
    "training/chat_preference.jsonl": Account("chat_preference", 4, 2, 0, (3, 4), 4, 0, 2),
    "training/domain_events.jsonl": Account("domain_events", 5, 3, 0, (4, 5), 3, 1, 1),
    "training/h2o.csv": Account("h2o", 7, 4, 0, (5, 6, 7), 4, 0, 0, 1),
    "training/icr_preference.jsonl": Account("icr_preference", 1, 1, 0, (), 2, 0, 1),
    "training/intel_preference.jsonl": Account("intel_preference", 2, 1, 0, (2,), 2, 0, 1),
    # Rows 1 and 3 say the opposite of the same answer: one event, judged twice.
    "training/kto.jsonl": Account("kto", 5, 4, 0, (5,), 3, 4, 0),
    "training/llamafactory/chats.json": Account("llamafactory", 3, 2, 0, (3,), 2, 0, 0, 2),
    "training/llamafactory/odd.jsonl": Account("alpaca", 1, 1, 0, (), 1, 0, 0),
    "training/llamafactory/pairs.jsonl": Account("llamafactory", 1, 1, 0, (), 2, 0, 1),
    "training/llamafactory/plain.jsonl": Account("llamafactory", 1, 1, 0, (), 1, 0, 0),
    "training/llamafactory/rounds.jsonl": Account("llamafactory", 1, 1, 0, (), 2, 0, 1),
    "training/llamafactory/turns.jsonl": Account("llamafactory", 1, 1, 0, (), 1, 1, 0),
    "training/llamafactory_kto.json": Account("llamafactory_kto", 4, 2, 0, (3, 4), 2, 2, 0),
    "training/moderation_loop.jsonl": Account("moderation_loop", 3, 2, 0, (3,), 2, 0, 0),
    "training/nectar.jsonl": Account("nectar", 3, 2, 0, (3,), 5, 0, 2, 1),
    "training/openai_chat.jsonl": Account("openai_chat", 8, 4, 0, (5, 6, 7, 8), 5, 0, 0, 2),
    "training/openai_preference.jsonl": Account("openai_preference", 3, 1, 0, (2, 3), 2, 0, 1),
    "training/prompt_completion.jsonl": Account("prompt_completion", 6, 2, 0, (3, 4, 5, 6), 2, 0, 0),
    "training/question_answer.csv": Account("question_answer", 2, 1, 0, (2,), 1, 0, 0),
    # Rows 2 and 5 hold the same question and answer in two ways of writing.
    "training/raw_text.jsonl": Account("raw_text", 7, 4, 1, (6, 7), 5, 0, 0),
    "training/records.jsonl": Account("records", 5, 1, 0, (2, 3, 4, 5), 1, 1, 0),
    "training/response_preference.csv": Account("response_preference", 2, 1, 0, (2,), 2, 0, 1),
    "training/sharegpt.json": Account("sharegpt", 8, 5, 0, (6, 7, 8), 5, 0, 0, 2),
    "training/stepwise.jsonl": Account("stepwise", 4, 2, 0, (3, 4), 2, 2, 0),
    "training/trl_implicit.jsonl": Account("trl_preference", 2, 1, 0, (2,), 2, 0, 1),
    # Rows 3 and 8 repeat row 2; row 4 prefers an answer to itself, which leaves the answer.
    "training/trl_preference.jsonl": Account("trl_preference", 8, 3, 2, (5, 6, 7), 5, 0, 2, 1),
}  # fmt: skip
"""Each fixture imported alone, where it lies: scores and descriptions are read from beside it."""

NO_ROWS = ("exports/chatgpt_message_feedback.json", "training/llamafactory/dataset_info.json")
"""Fixtures that hold nothing to import when they are named themselves."""

OTHERWISE = {"exports/chatgpt_model_comparisons.json": Account("question_answer", 2, 2, 0, (), 2, 0, 0)}
"""Fixtures that are something else under a name that no export gives them."""

ALONE = tuple(
    name for name in EXPECTED if "llamafactory/" not in name and name not in (
        "exports/langfuse_observations.json", "exports/langfuse_traces.jsonl",
    )
)  # fmt: skip
"""Fixtures that mean the same without the files beside them."""


def imported(folder: Path, path: Path, **options: Any) -> tuple[ImportReport, Account]:
    """Imports into a new store in `folder`, twice; checks what must hold of any import."""
    home = Home(folder)
    home.ensure()
    with open_store(home.store) as store:
        importer = Importer(Recorder(store, home, Config(), load_categories(home)), processes=0)
        asked = ImportOptions(**{"category": CATEGORY, **options})
        report = importer.run(path, asked)
        account = _account(report)
        again = importer.run(path, asked).counts
        assert store.value("SELECT count(*) FROM events") == account.events
        assert not integrity_problems(store)
    assert (again.read, again.accepted, again.rejected) == (report.counts.read, 0, report.counts.rejected)
    assert (again.events, again.judged, again.pairs) == (0, 0, 0)
    return report, account


def _account(report: ImportReport) -> Account:
    counts = report.counts
    assert counts.read == counts.accepted + counts.merged + counts.rejected
    rows = refusals(report)
    whole = [(one["file"], one["line"]) for one in rows if not one["part"]]
    assert len(whole) == len(set(whole)) == counts.rejected
    assert len(rows) - len(whole) == counts.parts
    assert all(len(one["reason"]) > 10 for one in rows)
    assert {one["file"] for one in rows} <= set(report.formats)
    return Account(
        ", ".join(sorted(set(report.formats.values()))),
        counts.read,
        counts.accepted,
        counts.merged,
        tuple(line for _, line in whole),
        counts.events,
        counts.judged,
        counts.pairs,
        counts.parts,
    )


def refusals(report: ImportReport) -> list[dict[str, Any]]:
    """The lines of the file of rejected rows; none without one."""
    if report.rejects_file is None:
        return []
    return [json.loads(line) for line in report.rejects_file.read_text(encoding="utf-8").splitlines()]


def write_database(path: Path) -> Path:
    """A log of llm with its table of responses, and another table."""
    import sqlite_utils

    database = sqlite_utils.Database(path)
    database["responses"].insert_all(LLM_ROWS, alter=True)
    database["conversations"].insert_all([{"id": "c1", "name": "Peru", "model": "llama3.2:3b"}])
    database.close()
    return path


def write_parquet(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """A table with a row group for each two rows."""
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path, row_group_size=2)
    return path
