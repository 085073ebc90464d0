"""The sound files that fuzzing starts from: the tests' fixtures, and what is made of them."""

from __future__ import annotations

import gzip
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from core.capture.formats.detect import detect
from core.capture.formats.sources import open_sources
from core.errors import FinetuneError

FIXTURES: Final = Path(__file__).parents[1] / "tests" / "core" / "capture" / "formats" / "fixtures"


class Corpus:
    """The sound files: each by its place, with its rows where they are JSON."""

    def __init__(self, extra: Path) -> None:
        _packed(extra)
        _arranged(extra)
        found = [path for root in (FIXTURES, extra) for path in sorted(root.rglob("*")) if path.is_file()]
        self.files = [path for path in found if path.name != "dataset_info.json"]
        self.rows: list[tuple[Path, str, list[Any]]] = []
        for path in self.files:
            if path.suffix not in (".zip", ".gz"):
                (source,) = open_sources(path)
                values = [row.value for row in source.rows() if not row.error]
                with suppress(FinetuneError):  # files that only count beside others, under their real names
                    self.rows.append((path, detect(source).format.name, values))
        self.values = [value for _, _, values in self.rows for value in values if isinstance(value, dict)]


def _arranged(folder: Path) -> None:
    """Adds exports of several files under the names that they have in an export."""
    for program, names in {
        "chatgpt": ("conversations", "message_feedback", "model_comparisons"),
        "langfuse": ("observations", "scores", "score_configs"),
    }.items():
        (folder / program).mkdir()
        for name in names:
            shutil.copy(FIXTURES / "exports" / f"{program}_{name}.json", folder / program / f"{name}.json")


def _packed(folder: Path) -> None:
    """Adds kinds of files that no fixture is kept as: packed ones, a table and a database."""
    import pyarrow
    import sqlite_utils
    from pyarrow import parquet

    data = (FIXTURES / "training" / "kto.jsonl").read_bytes()
    (folder / "kto.jsonl.gz").write_bytes(gzip.compress(data))
    with zipfile.ZipFile(folder / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("conversations", "message_feedback", "model_comparisons"):
            own = "chatgpt_conversations" if name == "conversations" else f"chatgpt_{name}"
            archive.writestr(f"{name}.json", (FIXTURES / "exports" / f"{own}.json").read_bytes())
    rows = [{"prompt": f"Q{at}", "chosen": f"A{at}", "rejected": "B"} for at in range(50)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "pairs.parquet")
    database = sqlite_utils.Database(folder / "logs.db")
    database["responses"].insert_all(
        {
            "id": f"r{at}",
            "model": "m",
            "prompt": f"Q{at}",
            "system": None,
            "response": f"A{at}",
            "conversation_id": f"c{at % 3}",
            "duration_ms": at,
            "datetime_utc": "2024-05-29T13:46:19",
        }
        for at in range(50)
    )
    database.close()
