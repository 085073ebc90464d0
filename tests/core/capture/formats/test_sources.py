"""Files as people have them: cut off, misnamed, oddly encoded, packed, hostile."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.capture.formats import archives, encoding, json_text, tables
from core.capture.formats.encoding import lines
from core.capture.formats.json_stream import json_rows, jsonl_rows
from core.capture.formats.parts import Row, Source
from core.capture.formats.sources import open_sources
from core.errors import FinetuneError


def source_of(folder: Path, name: str, content: str | bytes) -> Source:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (source,) = open_sources(path)
    return source


def rows_of(folder: Path, name: str, content: str | bytes) -> list[Row]:
    return list(source_of(folder, name, content).rows())


def seen(rows: list[Row]) -> list[object]:
    """The value of each row, or `ERROR` for one that could not be read."""
    return ["ERROR" if row.error else row.value for row in rows]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", '[{"a":1},{"a":2}]', [{"a": 1}, {"a": 2}]),
        ("one.json", '{"a":1}', [{"a": 1}]),
        ("wrapped.json", '{"version":1,"data":[{"a":1},{"a":2}]}', [{"a": 1}, {"a": 2}]),
        ("two_lists.json", '{"train":[{"a":1}],"test":[{"a":2}]}', [{"a": 1}, {"a": 2}]),
        ("only_list.json", '{"whatever":[{"a":1},{"a":2}]}', [{"a": 1}, {"a": 2}]),
        ("chat.json", '{"conversations":[{"from":"human","value":"x"}]}', None),
        ("record.json", '{"id":1,"scores":[{"value":1}]}', None),
        ("lines.json", '{"a":1}\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
        ("broken_line.json", '{"a":1}\nnonsense\n{"a":2}', [{"a": 1}, "ERROR", {"a": 2}]),
        ("pretty.json", '{\n "a": 1\n}\n{\n "a": 2\n}\n', [{"a": 1}, {"a": 2}]),
        ("glued.json", '{"a":1}{"a":2}', [{"a": 1}, {"a": 2}]),
        ("array.jsonl", '[{"a":1},\n{"a":2}]', [{"a": 1}, {"a": 2}]),
        ("array_in_a_line.jsonl", '[{"a":1},{"a":2}]\n', [{"a": 1}, {"a": 2}]),
        ("pretty.jsonl", '{\n "a": 1\n}\n', [{"a": 1}]),
        ("bom.jsonl", b'\xef\xbb\xbf{"a":1}\r\n\r\n{"a":2}\r\n', [{"a": 1}, {"a": 2}]),
        ("utf16.jsonl", '{"a":"é"}\n{"a":"ü"}\n'.encode("utf-16"), [{"a": "é"}, {"a": "ü"}]),
        ("utf16_unmarked.json", '[{"a":"é"}]'.encode("utf-16-le"), [{"a": "é"}]),
        ("utf32.json", '[{"a":"é"}]'.encode("utf-32"), [{"a": "é"}]),
        ("latin.jsonl", b'{"a":"\xe9"}\n{"a":2}\n', ["ERROR", {"a": 2}]),
        ("latin.json", b'[{"a":"\xe9"},{"a":2}]', ["ERROR", {"a": 2}]),
        ("cut.json", '[{"a":1},{"a":"tw', [{"a": 1}, "ERROR"]),
        ("cut_list.json", '[{"a":1}', [{"a": 1}, "ERROR"]),
        ("cut.jsonl", '{"a":1}\n{"a":', [{"a": 1}, "ERROR"]),
        ("broken_element.json", '[{"a":1},{"a":},{"a":"} ]"},{"a":3}]', [{"a": 1}, "ERROR", {"a": "} ]"}, {"a": 3}]),
        ("garbage.json", "nonsense", ["ERROR"]),
        ("stray_word.json", "[1,2,x,3]", [1, 2, "ERROR", 3]),
        ("nan.json", '[{"a":NaN,"b":-Infinity}]', [{"a": None, "b": None}]),
        ("twice.jsonl", '{"a":1,"a":2}', [{"a": 2}]),
        ("huge_number.json", '[{"a":' + "9" * 5000 + '},{"a":1}]', ["ERROR", {"a": 1}]),
        ("trailing.jsonl", '{"a":1} x\n{"a":2}', ["ERROR", {"a": 2}]),
        ("separator.jsonl", '{"a":"x\u2028y"}\n{"a":"\u0085"}\n', [{"a": "x\u2028y"}, {"a": "\u0085"}]),
        ("deep.jsonl", '{"a":1}\n' + "[" * 100_000 + '\n{"a":2}', [{"a": 1}, "ERROR", {"a": 2}]),
        ("deep.json", '[{"a":1},' + "[" * 100_000 + "]" * 100_000 + ',{"a":2}]', [{"a": 1}, "ERROR", {"a": 2}]),
        ("empty.json", "", []),
        ("empty_list.json", " [ ] ", []),
        ("blank.jsonl", "\n\n", []),
        ("empty.csv", "", []),
        ("a.csv", 'a,b\n1,"x\ny"\n"q""q",\n', [{"a": "1", "b": "x\ny"}, {"a": 'q"q', "b": ""}]),
        ("semicolon.csv", '\ufeffa;"b,c"\r\n1;2\r\n', [{"a": "1", "b,c": "2"}]),
        ("told.csv", "sep=|\na|b\n1|2\n", [{"a": "1", "b": "2"}]),
        ("a.tsv", "a\tb\n1\t2, 3\n", [{"a": "1", "b": "2, 3"}]),
        ("ragged.csv", "a,b\n1\n1,2,3\n1,2,\n", [{"a": "1", "b": ""}, "ERROR", {"a": "1", "b": "2"}]),
        ("open_quote.csv", 'a,b\n1,2\n"3,4\n5,6\n', [{"a": "1", "b": "2"}, "ERROR"]),
        ("stray_quote.csv", 'a,b\n"1"x,2\n5,"6\n7"\n', ["ERROR", {"a": "5", "b": "6\n7"}]),
        ("same.csv", "a,a,\n1,2,3\n", [{"a": "1", "a_2": "2", "column_3": "3"}]),
        ("latin.csv", b"a,b\n\xe9,1\n2,3\n", ["ERROR", {"a": "2", "b": "3"}]),
    ],
)
def test_every_row_is_given_or_named(
    tmp_path: Path, name: str, content: str | bytes, expected: list[object] | None
) -> None:
    if expected is None:
        expected = [json.loads(content)]
    rows = rows_of(tmp_path, name, content)
    assert seen(rows) == expected
    assert [row.number for row in rows] == sorted({row.number for row in rows})


def test_lines_are_numbered_as_in_an_editor(tmp_path: Path) -> None:
    assert [row.number for row in rows_of(tmp_path, "a.jsonl", '{"a":1}\n\n{"a":2}\n')] == [1, 3]


def test_kind_says_what_the_file_holds(tmp_path: Path) -> None:
    assert source_of(tmp_path, "a.json", '{"a":1}\n{"a":2}').kind == "jsonl"
    assert source_of(tmp_path, "b.jsonl", '[{"a":1}]').kind == "json"
    assert source_of(tmp_path, "c.tsv", "a\tb").kind == "csv"


def test_rows_start_anew_each_time(tmp_path: Path) -> None:
    source = source_of(tmp_path, "a.json", '[{"a":1},{"a":2}]')
    assert next(source.rows()) == Row(1, {"a": 1})
    assert len(list(source.rows())) == 2


def test_long_line_is_read_and_an_endless_one_is_not_held(tmp_path: Path) -> None:
    long = json.dumps({"a": "x" * 10_000_000})
    rows = rows_of(tmp_path, "a.jsonl", f'{{"a":1}}\n{long}\n{{"a":2}}\n')
    assert len(rows[1].value["a"]) == 10_000_000
    chunks = (b"x" * 1000 for _ in range(100))
    assert list(lines(iter([b"first\n", *chunks, b"end\nlast"]), limit=5000)) == [b"first", None, b"last"]


def test_oversized_element_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text.JsonText.value, "__defaults__", (1_000,))
    parts = [b'[{"a":1},{"a":"', *(b'\\"}' * 50_000 for _ in range(50)), b'"},{"a":2}]']
    rows = list(json_rows(iter(parts)))
    assert seen(rows) == [{"a": 1}, "ERROR", {"a": 2}]
    assert "larger than" in rows[1].error


def test_array_takes_flat_memory() -> None:
    element = b'{"prompt":"' + b"x" * 2_000 + b'"},'

    def chunks() -> Iterator[bytes]:
        yield b'{"version":1,"data":['
        yield b""
        for _ in range(60):
            yield element * 500
        yield b"{}]}"

    tracemalloc.start()
    count = sum(not row.error for row in json_rows(chunks()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 30_001
    # The 60 MB of text go through a window of some megabytes.
    assert peak < 30e6


@settings(max_examples=60)
@given(
    rows=st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=8) | st.integers() | st.none(), max_size=3)),
    cut=st.integers(1, 7),
)
def test_chunks_do_not_matter(rows: list[dict[str, object]], cut: int) -> None:
    text = json.dumps(rows, ensure_ascii=False).encode("utf-8", "surrogatepass")
    pieces = [text[start : start + cut] for start in range(0, len(text), cut)]
    assert seen(list(json_rows(iter(pieces)))) == rows
    many = "\n".join(json.dumps(row) for row in rows).encode()
    pieces = [many[start : start + cut] for start in range(0, len(many), cut)]
    assert seen(list(jsonl_rows(iter(pieces)))) == rows


@settings(max_examples=150)
@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\ a1\n', max_size=40).map(str.encode))
def test_any_bytes_end_in_rows(data: bytes) -> None:
    for reader in (json_rows, jsonl_rows, tables.csv_rows):
        rows = list(reader(encoding.utf8_chunks(open_bytes(data))))
        assert all(row.number >= 1 for row in rows)


def open_bytes(data: bytes) -> encoding.Readable:
    from io import BytesIO

    return BytesIO(data)


def test_zip_and_gzip_are_read_in_place(tmp_path: Path) -> None:
    path = tmp_path / "chats.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b/conversations.json", '[{"a":1}]')
        archive.writestr("b/users.jsonl", '{"a":2}')
        archive.writestr("../../escape.jsonl", '{"a":3}')
        archive.writestr("__MACOSX/._x.json", "junk")
        archive.writestr(".hidden/x.json", "junk")
        archive.writestr("picture.png", "junk")
        archive.writestr("inner.zip", "junk")
        archive.writestr("data.db", "junk")
    before = sorted(tmp_path.rglob("*"))
    sources = {source.name: source for source in open_sources(path)}
    assert {name: seen(list(source.rows())) for name, source in sources.items()} == {
        "chats.zip/../../escape.jsonl": [{"a": 3}],
        "chats.zip/b/conversations.json": [{"a": 1}],
        "chats.zip/b/users.jsonl": [{"a": 2}],
        "chats.zip/data.db": ["ERROR"],
    }
    beside = sources["chats.zip/b/conversations.json"].sibling("users.jsonl")
    assert beside is not None
    assert seen(list(beside.rows())) == [{"a": 2}]
    assert sources["chats.zip/b/conversations.json"].sibling("nothing.json") is None
    assert sorted(tmp_path.rglob("*")) == before

    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"a":1}\n{"a":2}'))
    (source,) = open_sources(packed)
    assert seen(list(source.rows())) == [{"a": 1}, {"a": 2}]


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(json.dumps({"a": os.urandom(40).hex()}).encode() + b"\n" for _ in range(60_000)))
    rows = rows_of(tmp_path, "cut.jsonl.gz", whole[: len(whole) // 2])
    assert rows[0].value["a"]
    assert "cannot be read from here on" in rows[-1].error
    with pytest.raises(FinetuneError, match="zip file"):
        open_sources_of(tmp_path, "bad.zip", b"PK\x03\x04junk")
    with zipfile.ZipFile(tmp_path / "crc.zip", "w") as archive:
        archive.writestr("a.jsonl", '{"a":1}')
    data = (tmp_path / "crc.zip").read_bytes().replace(b'{"a":1}', b'{"a":9}')
    assert seen(rows_of(tmp_path, "crc.zip", data))[-1] == "ERROR"
    encrypted = bytearray(data)
    at = encrypted.rfind(b"PK\x01\x02") + 8
    encrypted[at] |= 1
    assert "encrypted" in rows_of(tmp_path, "locked.zip", bytes(encrypted))[0].error


def open_sources_of(folder: Path, name: str, content: bytes) -> list[Source]:
    (folder / name).write_bytes(content)
    return list(open_sources(folder / name))


def test_bombs_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_FREE_BYTES", 1 << 20)
    bomb = b'{"a":1}\n' + b" " * (30 << 20)
    rows = rows_of(tmp_path, "bomb.jsonl.gz", gzip.compress(bomb))
    assert rows[0].value == {"a": 1}
    assert "200 times its size" in rows[-1].error
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", bomb)
    (source,) = open_sources(tmp_path / "bomb.zip")
    assert "200 times its size" in list(source.rows())[-1].error


def test_folder_is_walked_in_order(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name, content in {
        "b.jsonl": '{"a":2}',
        "a/z.jsonl": '{"a":1}',
        ".hidden.jsonl": "junk",
        ".git/x.json": "junk",
        "readme.md": "junk",
        "dataset_info.json": "{}",
        "c.zip": "no archive",
        "d.db": "no database, but long enough to look at" * 40,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (root / "loop").symlink_to(root, target_is_directory=True)
    found = {source.name: seen(list(source.rows())) for source in open_sources(root)}
    assert found == {
        "data/b.jsonl": [{"a": 2}],
        "data/c.zip": ["ERROR"],
        "data/d.db": ["ERROR"],
        "data/a/z.jsonl": [{"a": 1}],
    }


def test_siblings_stay_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"a":1}')
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "other.json").write_text('{"a":2}')
    source = source_of(tmp_path / "in", "a.json", "[]")
    other = source.sibling("other.json")
    assert other is not None
    assert seen(list(other.rows())) == [{"a": 2}]
    assert source.sibling("../secret.json") is None
    assert source.sibling("missing.json") is None


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [("noext", '{"a":1}', "json"), ("db_without_ending", None, "sqlite"), ("log.txt", '\ufeff[{"a":1}]', "json")],
)
def test_files_without_a_telling_name(tmp_path: Path, name: str, content: str | None, kind: str) -> None:
    path = tmp_path / name
    if content is None:
        database(path)
    else:
        path.write_text(content)
    assert next(iter(open_sources(path))).kind == kind


def test_what_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name in ("note.txt", "empty", "missing.json", "pipe.jsonl", "nul\0byte"):
        with pytest.raises(FinetuneError) as refused:
            open_sources(tmp_path / name)
        assert refused.value.hint


def database(path: Path, *, wal: bool = False) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute('CREATE TABLE "re""plies" (id INTEGER PRIMARY KEY, prompt TEXT, data BLOB)')
        connection.execute("INSERT INTO \"re\"\"plies\" VALUES (1, 'Q', x'616263'), (2, CAST(x'e9' AS TEXT), x'ff')")
        connection.execute("CREATE TABLE other (a)")
        connection.execute("CREATE VIEW looks AS SELECT * FROM other")
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")


@pytest.mark.parametrize("wal", [False, True])
def test_database_is_read_and_left_alone(tmp_path: Path, wal: bool) -> None:
    path = tmp_path / "logs #1?.db"
    database(path, wal=wal)
    before = path.read_bytes()
    sources = {source.name: source for source in open_sources(path)}
    assert list(sources) == ["logs #1?.db#other", 'logs #1?.db#re"plies']
    replies = sources['logs #1?.db#re"plies']
    assert seen(list(replies.rows())) == [{"id": 1, "prompt": "Q", "data": "abc"}, "ERROR"]
    other = replies.sibling("other")
    assert other is not None
    assert list(other.rows()) == []
    assert replies.sibling("words") is None
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_database_in_use_shows_what_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t (a)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        (source,) = open_sources(path)
        assert seen(list(source.rows())) == [{"a": 1}]


def test_damaged_database_ends_in_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.db"
    path.write_bytes(b"SQLite format 3\0" + b"junk" * 300)
    with pytest.raises(FinetuneError, match="cannot be read"):
        open_sources(path)


def test_parquet_in_batches(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    rows = [{"prompt": f"Q{n}", "turns": [{"role": "user", "content": "é"}], "when": None} for n in range(1500)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    (source,) = open_sources(path)
    assert seen(list(source.rows())) == rows
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.parquet")
    (packed,) = open_sources(tmp_path / "a.zip")
    assert seen(list(packed.rows())) == rows
    assert seen(rows_of(tmp_path, "bad.parquet", b"PAR1 junk PAR1")) == ["ERROR"]
