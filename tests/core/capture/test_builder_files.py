"""Which files of a folder the builder reads, and how it cuts them."""

from __future__ import annotations

import codecs
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.capture.building.chunks import MAX_CHARS, chunks_of, progress_hashes
from core.capture.building.files import MAX_BYTES, Candidate, LeftOutError, Skipped, files_of, read_text
from core.capture.building.ignore import is_ignored, rules_of


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("some text\n", encoding="utf-8")


def listed(root: Path) -> tuple[list[str], dict[str, str]]:
    found = list(files_of(root))
    taken = [each.name for each in found if isinstance(each, Candidate)]
    return taken, {each.name: each.reason for each in found if isinstance(each, Skipped)}


def test_files_come_in_a_fixed_order_and_the_rest_with_a_reason(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, "b.md", "a.py", "sub/c.txt", ".env", ".git/config", "node_modules/x/index.js", "env/lib/site.py")
    write(root, "env/pyvenv.cfg", "sub/__pycache__/c.pyc", "app.min.js", "uv.lock", "out/made.txt", "sub/out.log")
    (root / ".gitignore").write_text("*.log\n/out/\n", encoding="utf-8")
    outside = tmp_path / "secret.txt"
    outside.write_text("secret", encoding="utf-8")
    (root / "link.txt").symlink_to(outside)
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    taken, skipped = listed(root)
    assert taken == ["a.py", "b.md", "sub/c.txt"]
    assert skipped == {
        ".env": "hidden",
        ".git/": "hidden",
        ".gitignore": "hidden",
        "node_modules/": "installed packages",
        "env/": "a virtual environment",
        "sub/__pycache__/": "generated",
        "app.min.js": "generated",
        "uv.lock": "generated",
        "out/": "named in .gitignore",
        "sub/out.log": "named in .gitignore",
        "link.txt": "a link",
        "loop": "a link",
        "pipe": "no plain file",
    }


def test_a_single_file_is_a_folder_of_one(tmp_path: Path) -> None:
    write(tmp_path, "one.md")
    assert listed(tmp_path / "one.md") == (["one.md"], {})


def test_a_very_deep_folder_is_walked(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(300):
        deep = deep / "d"
    deep.mkdir(parents=True)
    write(deep, "end.txt")
    assert listed(tmp_path)[0] == ["d/" * 300 + "end.txt"]


@pytest.mark.parametrize(
    ("pattern", "name", "folder", "ignored"),
    [
        ("*.log", "a/b/c.log", False, True),
        ("/a.txt", "a.txt", False, True),
        ("/a.txt", "b/a.txt", False, False),
        ("build/", "build", True, True),
        ("build/", "build", False, False),
        ("a/**/z", "a/b/c/z", False, True),
        ("a/**/z", "a/z", False, True),
        ("a/**", "a/b/c", False, True),
        ("**/tmp", "x/y/tmp", True, True),
        ("docs/*.md", "docs/x.md", False, True),
        ("docs/*.md", "docs/sub/x.md", False, False),
        ("[a-c]?.txt", "b1.txt", False, True),
        ("[!a-c]?.txt", "b1.txt", False, False),
        ("*.txt\n!keep.txt", "keep.txt", False, False),
        ("# a comment\n\n", "# a comment", False, False),
        ("\\#file", "#file", False, True),
        ("[z-a", "[z-a", False, True),
    ],
)
def test_gitignore(pattern: str, name: str, folder: bool, ignored: bool) -> None:
    assert is_ignored(name, rules_of(pattern), folder=folder) is ignored


def test_the_gitignore_of_a_folder_holds_below_it(tmp_path: Path) -> None:
    write(tmp_path, "x.txt", "sub/x.txt", "sub/deep/x.txt", "sub/y.txt")
    (tmp_path / "sub" / ".gitignore").write_text("x.txt\n", encoding="utf-8")
    assert listed(tmp_path)[0] == ["x.txt", "sub/y.txt"]


def test_a_hostile_pattern_takes_no_time() -> None:
    rules = rules_of("a*" * 40 + "b\n" + "**/" * 30 + "z\n" + "*" * 5000)
    started = time.process_time()
    assert not is_ignored("a" * 120 + "/" + "a/" * 40 + "c", rules[:2], folder=False)
    assert is_ignored("a" * 120, rules, folder=False)
    assert time.process_time() - started < 20


TEXT = "Grüße, 世界 and all.\nSecond line.\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
    ],
)
def test_text_is_told_by_its_content(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file.xyz").write_bytes(data)
    assert read_text(tmp_path / "file.xyz") == TEXT


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_told_without_its_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "file").write_bytes(b"plain words\n".decode().encode(encoding))
    assert read_text(tmp_path / "file") == "plain words\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (bytes(range(256)) * 8, "not text"),
        (b"\x7fELF\x02\x01\x01" + bytes(200), "not text"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + b"\x80\x81" * 50, "not text"),
        (b"x" * (MAX_BYTES + 1), "larger than 2 MB"),
    ],
    ids=["nothing", "blank", "bytes", "program", "pdf", "large"],
)
def test_what_is_no_text_is_left_out(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "file.txt").write_bytes(data)
    with pytest.raises(LeftOutError, match=reason):
        read_text(tmp_path / "file.txt")


def test_a_file_that_became_a_pipe_or_is_gone_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LeftOutError, match="no plain file"):
        read_text(tmp_path / "pipe")
    with pytest.raises(LeftOutError, match="cannot be read"):
        read_text(tmp_path / "gone")


LONG = "Words that say something about the matter at hand. " * 14


def test_markdown_is_cut_at_its_headings_but_not_in_a_fence() -> None:
    text = f"# One\n{LONG}\n```sh\n# no heading\n```\n## Two\n{LONG}\n"
    first, second = chunks_of("a.md", text)
    assert first.text.startswith("# One") and "# no heading" in first.text
    assert (second.text.splitlines()[0], second.lines) == ("## Two", "6-7")


def test_short_sections_are_joined() -> None:
    text = "".join(f"## Part {at}\nA few words.\n" for at in range(10))
    assert [chunk.lines for chunk in chunks_of("a.md", text)] == ["1-20"]


def test_python_is_cut_at_its_definitions_with_what_belongs_to_them() -> None:
    body = "".join(f"    value_{at} = compute_something({at}, 'and more')\n" for at in range(16))
    text = f"import os\n\n\ndef one():\n{body}\n\n# About two.\n@decorated\ndef two():\n{body}"
    first, second = chunks_of("a.py", text)
    assert first.text.startswith("import os") and "def one" in first.text
    assert second.text.startswith("# About two.\n@decorated\ndef two")


def test_python_that_does_not_parse_is_cut_like_any_text() -> None:
    text = f"def broken(:\n\n{LONG}\n" * 3
    assert "".join(chunk.text for chunk in chunks_of("a.py", text)).count("broken") == 3


def test_a_long_text_is_cut_between_paragraphs() -> None:
    chunks = chunks_of("a.txt", "\n\n".join([LONG.strip()] * 12))
    assert len(chunks) > 1
    assert all(chunk.text.startswith("Words") and chunk.text.endswith("hand.") for chunk in chunks)


def test_a_line_that_is_too_long_is_cut_itself() -> None:
    chunks = chunks_of("a.txt", "x" * (2 * MAX_CHARS + 5))
    assert [(len(chunk.text), chunk.lines) for chunk in chunks] == [(4000, "1-1"), (4000, "1-1"), (5, "1-1")]


def test_what_says_too_little_is_thin_in_any_script() -> None:
    assert chunks_of("a.md", "# A heading\n\n---\n")[0].is_thin
    assert not chunks_of("a.md", LONG)[0].is_thin
    assert not chunks_of("a.md", "每天早上司机从三个农场运来牛奶然后称重冷却并检验脂肪含量")[0].is_thin


def test_the_same_start_has_the_same_progress_hash() -> None:
    before = chunks_of("a.md", f"# One\n{LONG}\n# Two\n{LONG}\n")
    after = chunks_of("a.md", f"# One\n{LONG}\n# Two\n{LONG}\n# Three\n{LONG}\n")
    assert progress_hashes(after)[:3] == progress_hashes(before) and len(set(progress_hashes(after))) == 4


lines = st.one_of(
    st.sampled_from(["", "# head", "```", "def f():", "    x = 1", "@a", "class A:"]), st.text(max_size=60)
)


@given(st.sampled_from(["a.md", "a.py", "a.txt"]), st.lists(lines, max_size=40), st.integers(20, 200))
def test_every_line_is_in_one_chunk_in_order(name: str, parts: list[str], limit: int) -> None:
    text = "\n".join(parts).replace("\r", " ")
    chunks = chunks_of(name, text, limit)
    assert all(0 < len(chunk.text) <= limit and chunk.text.strip() for chunk in chunks)
    assert all(0 < chunk.first <= chunk.last <= text.count("\n") + 1 for chunk in chunks)
    for one, other in pairwise(chunks):
        assert one.last < other.first or one.first == one.last == other.first == other.last
    squeezed = "".join("".join(chunk.text for chunk in chunks).split())
    assert squeezed == "".join(text.split())


@pytest.mark.parametrize("part", ["\n", "a\n\n", "#\n", "a", "(", "def f():\n  pass\n", "```\n"])
def test_cutting_takes_time_linear_in_the_text(part: str) -> None:
    started = time.process_time()
    for name in ("a.md", "a.py", "a.txt"):
        chunks_of(name, part * (300_000 // len(part)))
    assert time.process_time() - started < 20
