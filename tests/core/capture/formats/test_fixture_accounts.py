"""Every fixture, as it is, packed, in other encodings and damaged, is imported with the account worked out for it."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from accounts_kit import (
    ALONE,
    EXPECTED,
    FIXTURES,
    NO_ROWS,
    OTHERWISE,
    Account,
    imported,
    refusals,
    write_database,
    write_parquet,
)

from core.capture.formats.detect import FORMATS
from core.capture.import_rows import ImportOptions
from core.capture.preview import preview
from core.capture.record import Recorder
from core.categories import load_categories
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from storage.db import Store

LLM = Account("llm_logs", 5, 3, 0, (4, 5), 3, 0, 0)
BESIDE = Account("chatgpt, chatgpt_beside", 6, 1, 0, (1, 2, 3, 1, 2), 3, 1, 1, 2)
LINES = [name for name in ALONE if name.endswith(".jsonl")]
LISTS = [name for name in ALONE if name.endswith(".json")]


def test_every_fixture_has_an_account() -> None:
    found = {path.relative_to(FIXTURES).as_posix() for path in FIXTURES.rglob("*") if path.is_file()}
    assert found == EXPECTED.keys() | OTHERWISE.keys() | set(NO_ROWS)


def test_every_format_has_a_fixture() -> None:
    covered = {account.format for account in (*EXPECTED.values(), LLM)} | {"chatgpt_beside"}
    assert {each.name for each in FORMATS} == covered


@pytest.mark.parametrize(("name", "account"), [*EXPECTED.items(), *OTHERWISE.items()], ids=lambda each: str(each)[:60])
def test_account(tmp_path: Path, name: str, account: Account) -> None:
    assert account.read == account.accepted + account.merged + len(account.refused)
    report, found = imported(tmp_path / "home", FIXTURES / name)
    assert found == account
    assert report.left_out == {}


@pytest.mark.parametrize("name", NO_ROWS)
def test_what_only_describes_other_files_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FinetuneError, match="none of the formats"):
        imported(tmp_path / "home", FIXTURES / name)


def packed_gzip(path: Path, target: Path) -> Path:
    found = target / f"{path.name}.gz"
    found.write_bytes(gzip.compress(path.read_bytes()))
    return found


def packed_zip(path: Path, target: Path) -> Path:
    found = target / "export.zip"
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "nothing")
        archive.writestr(f"deep/{path.name}", path.read_bytes())
        archive.writestr(f"__MACOSX/{path.name}", b"\x00")
    return found


def in_folder(path: Path, target: Path) -> Path:
    place = target / "somewhere" / "below"
    place.mkdir(parents=True)
    (place / path.name).write_bytes(path.read_bytes())
    (place / ".hidden.jsonl").write_text("{}")
    return target / "somewhere"


def encoded(encoding: str, mark: str = "") -> Callable[[Path, Path], Path]:
    def write(path: Path, target: Path) -> Path:
        found = target / path.name
        found.write_bytes((mark + path.read_text(encoding="utf-8")).encode(encoding))
        return found

    return write


def with_crlf(path: Path, target: Path) -> Path:
    found = target / path.name
    found.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return found


VARIANTS: dict[str, Callable[[Path, Path], Path]] = {
    "gzip": packed_gzip,
    "zip": packed_zip,
    "folder": in_folder,
    "bom": encoded("utf-8-sig"),
    "utf-16": encoded("utf-16"),
    "utf-16-be": encoded("utf-16-be", "\ufeff"),
    "utf-16-unmarked": encoded("utf-16-le"),
    "utf-32": encoded("utf-32"),
    "crlf": with_crlf,
}


@pytest.mark.parametrize("name", ALONE)
def test_packing_and_encoding_change_nothing(tmp_path: Path, name: str) -> None:
    for variant, write in VARIANTS.items():
        place = tmp_path / variant
        place.mkdir()
        _, found = imported(place / "home", write(FIXTURES / name, place))
        assert found == EXPECTED[name], variant


DAMAGE: dict[str, tuple[bytes, str]] = {
    "cut off": (b'{"prompt": "Q", "comp', "cut off|no JSON"),
    "nested": (b"[" * 50_000 + b"]" * 50_000, "nested too deeply"),
    "nested objects": (b'{"messages": ' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
    "of a wrong type": (b"[7]", ""),
    "empty": (b"{}", ""),
    "of another encoding": (b'{"prompt": "caf\xe9", "completion": "\xe9"}', "not UTF-8"),
    "with a number too long": (b'{"prompt": ' + b"9" * 5_000 + b"}", "digits"),
    "with a lone surrogate": (b'{"\\ud800": ["\\udfff"]}', ""),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", [*LINES, *LISTS])
def test_a_damaged_row_is_one_rejected_row(tmp_path: Path, name: str, kind: str) -> None:
    damaged, reason = DAMAGE[kind]
    sound = (FIXTURES / name).read_bytes().rstrip()
    if name in LINES:
        data = sound + b"\n" + damaged + b"\n"
    else:
        rows = json.loads(sound)
        text = json.dumps(rows if isinstance(rows, list) else [rows]).encode()
        data = text[:-1] + b", " + damaged + (b"" if kind == "cut off" else b"]")
    path = tmp_path / Path(name).name
    path.write_bytes(data)
    account = EXPECTED[name]
    report, found = imported(tmp_path / "home", path)
    last = account.read + 1
    assert found == account._replace(read=last, refused=(*account.refused, last))
    (told,) = [one["reason"] for one in refusals(report) if one["line"] == last]
    assert any(part in told for part in reason.split("|"))


@pytest.mark.parametrize("name", ["training/kto.jsonl", "training/alpaca.json", "exports/prodigy.jsonl"])
def test_a_row_of_ten_megabytes_is_read_and_refused(tmp_path: Path, name: str) -> None:
    rows = json.loads("[" + ",".join((FIXTURES / name).read_text().splitlines()) + "]") if name in LINES else []
    rows = rows or json.loads((FIXTURES / name).read_text())
    long = {key: ("word " * 2_000_000 if value in ("Q", "Greet me.", "Translate.") else value)
            for key, value in rows[0].items()}  # fmt: skip
    rows.append(long)
    path = tmp_path / Path(name).name
    path.write_text("\n".join(map(json.dumps, rows)) if name in LINES else json.dumps(rows))
    assert path.stat().st_size > 10_000_000
    account = EXPECTED[name]
    report, found = imported(tmp_path / "home", path)
    last = account.read + 1
    assert found == account._replace(read=last, refused=(*account.refused, last))
    told = refusals(report)[-1]
    assert "characters; at most" in told["reason"]
    assert told["row"] is None and told["row_chars"] > 10_000_000


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("question_answer.csv", b"a,b,c", "It has 3 cells"),
        ("response_preference.csv", b"caf\xe9,a,b,1,2", "not UTF-8"),
        ("h2o.csv", b'8,,"Q8,A8', "It is no CSV"),
        ("question_answer.csv", b"a", "`answer` is empty"),
    ],
)
def test_a_damaged_line_of_a_table_is_one_rejected_row(tmp_path: Path, name: str, line: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes((FIXTURES / "training" / name).read_bytes().rstrip() + b"\n" + line)
    account = EXPECTED[f"training/{name}"]
    report, found = imported(tmp_path / "home", path)
    last = account.read + 1
    assert found == account._replace(read=last, refused=(*account.refused, last))
    assert reason in refusals(report)[-1]["reason"]


def test_a_database(tmp_path: Path) -> None:
    report, found = imported(tmp_path / "home", write_database(tmp_path / "logs.db"))
    assert found == LLM
    assert list(report.formats) == ["logs.db#responses"] and list(report.left_out) == ["logs.db#conversations"]


def test_a_parquet_file(tmp_path: Path) -> None:
    rows = [{"prompt": "Name a prime.", "chosen": "Two.", "rejected": rejected} for rejected in ("Nine.", "", "Four.")]
    _, found = imported(tmp_path / "home", write_parquet(tmp_path / "pairs.parquet", rows))
    # "Two." stands in both of the sound rows.
    assert found == Account("trl_preference", 3, 2, 0, (2,), 3, 0, 2)


def test_an_export_of_several_files_counts_together(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("conversations", "message_feedback", "model_comparisons"):
            archive.writestr(f"{name}.json", (FIXTURES / "exports" / f"chatgpt_{name}.json").read_bytes())
    _, found = imported(tmp_path / "home", path)
    assert found == BESIDE


def test_scores_under_their_real_names_count_with_their_ranges(tmp_path: Path) -> None:
    place = tmp_path / "langfuse"
    place.mkdir()
    for name in ("observations", "scores", "score_configs"):
        shutil.copy(FIXTURES / "exports" / f"langfuse_{name}.json", place / f"{name}.json")
    report, found = imported(tmp_path / "home", place)
    assert found == Account("langfuse", 9, 2, 0, (2, 1, 1, 2, 3, 4, 5), 2, 2, 1)
    assert report.left_out == {}


def test_a_folder_accounts_for_what_its_files_do(tmp_path: Path) -> None:
    report, found = imported(tmp_path / "home", FIXTURES / "training")
    own = [account for name, account in EXPECTED.items() if name.startswith("training/")]
    assert len(report.formats) == len(own)
    assert found.read == sum(account.read for account in own)
    assert sorted(found.refused) == sorted(line for account in own for line in account.refused)
    # Some files ask and answer the same as others do: fewer rows are new, and none is lost.
    assert found.accepted + found.merged == sum(account.accepted + account.merged for account in own)
    assert found.events < sum(account.events for account in own)
    assert found.parts == sum(account.parts for account in own)


@pytest.mark.parametrize("name", ["training/kto.jsonl", "exports/label_studio.json", "training/h2o.csv"])
def test_a_look_tells_the_same_and_stores_nothing(home: Home, store: Store, name: str) -> None:
    recorder = Recorder(store, home, Config(), load_categories(home))
    look = preview(recorder, FIXTURES / name, ImportOptions(category="human_correction"))
    (source,) = look.sources
    account = EXPECTED[name]
    assert (source.format, source.rows, source.refused) == (account.format, account.read, len(account.refused))
    form: Any = next(each for each in FORMATS if each.name == account.format)
    assert source.mapping == form.mapping
    assert store.value("SELECT count(*) FROM events") == store.value("SELECT count(*) FROM imports") == 0
