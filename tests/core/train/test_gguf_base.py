"""Base models made of GGUF files: once per file, proved, and never in the place of another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "release"))

from gguf_making import LEFT_OUT, write_gguf
from tiny_llama import TEMPLATE, rewrite, save_llama

from core.errors import ModelError
from core.paths import Home, sha256_of
from core.release.from_gguf import import_gguf
from core.train.base_model import check_model_folder
from core.train.gguf_base import SOURCE, gguf_base, known_base, made_bases, made_of
from core.train.gguf_base_child import bounds_kind

PASSED = {"name": "f16: token parity", "passed": True, "figure": 1.0, "bound": 1.0, "detail": "all the same"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("trained"), train=90)


@pytest.fixture(scope="module")
def made_file(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(made, tmp_path_factory.mktemp("file") / "made.gguf")


@pytest.fixture
def file(made_file: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy2(made_file, tmp_path / "model.gguf"))


class Child:
    """Stands in for the process: takes the file apart here, and says of the proof what it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.proof: list[Mapping[str, Any]] = [PASSED]

    def __call__(self, task: Mapping[str, Any], log: Path, note: Any) -> dict[str, Any]:
        self.runs += 1
        import_gguf(Path(task["path"]), Path(task["folder"]), chat_template=task["chat_template"])
        note("Comparing.")
        return {"kind": "f16", "chat_template": "of the file", "proof": self.proof}


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Child:
    child = Child()
    monkeypatch.setattr("core.train.gguf_base._run_child", child)
    return child


def source_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / SOURCE).read_text()))


def in_base(home: Home) -> list[str]:
    return sorted(path.name for path in (home.models / "base").iterdir())


class TestOnce:
    def test_a_file_is_taken_apart_once(self, file: Path, home: Home, child: Child) -> None:
        told: list[str] = []
        assert known_base(file, home) is None
        folder = gguf_base(file, "model-gguf", home, note=told.append)
        assert folder == home.models / "base" / "model-gguf"
        check_model_folder(folder)
        source = source_of(folder)
        assert (source["path"], source["origin"]) == (str(file), str(file))
        assert (source["bytes"], source["sha256"]) == (file.stat().st_size, sha256_of(file))
        assert source["proof"] == [PASSED]
        assert told == [f"Reading {file}.", "Comparing."]
        told.clear()
        assert gguf_base(file, "model-gguf", home, note=told.append) == folder
        assert known_base(file, home) == folder
        assert (child.runs, told, in_base(home)) == (1, [], ["model-gguf"])

    def test_a_touched_or_moved_file_is_known_by_its_content(self, file: Path, home: Home, child: Child) -> None:
        folder = gguf_base(file, "model-gguf", home)
        os.utime(file, (1, 1))
        assert gguf_base(file, "model-gguf", home) == folder
        moved = file.rename(file.with_name("moved.gguf"))
        assert gguf_base(moved, "moved-gguf", home, origin="ollama:tiny:1") == folder
        assert child.runs == 1
        assert source_of(folder)["path"] == str(moved)
        assert known_base(moved, home) == folder
        named = made_of("ollama:tiny:1", home)
        assert named is not None
        assert named.folder == folder

    def test_a_changed_file_is_made_anew_beside_the_old_one(
        self, file: Path, made: Path, home: Home, child: Child
    ) -> None:
        old = gguf_base(file, "model-gguf", home, origin="ollama:tiny:1")
        write_gguf(made, file, "Q8_0")
        new = gguf_base(file, "model-gguf", home, origin="ollama:tiny:1")
        assert new == home.models / "base" / f"model-gguf-{sha256_of(file)[:8]}"
        assert source_of(old)["sha256"] != source_of(new)["sha256"]
        assert [one.folder for one in made_bases(home)] == [new, old]
        newest = made_of("ollama:tiny:1", home)
        assert newest is not None
        assert newest.folder == new
        assert gguf_base(file, "model-gguf", home) == new
        assert child.runs == 2

    def test_another_model_of_that_name_is_left_alone(self, file: Path, home: Home, child: Child) -> None:
        theirs = home.models / "base" / "model-gguf"
        theirs.mkdir(parents=True)
        (theirs / "config.json").write_text("{}")
        assert gguf_base(file, "model-gguf", home).name == f"model-gguf-{sha256_of(file)[:8]}"
        assert [path.name for path in theirs.iterdir()] == ["config.json"]

    def test_damaged_and_foreign_sources_are_passed_over(self, file: Path, home: Home, child: Child) -> None:
        for name, content in {"a": "{", "b": "[]", "c": '{"path": 3}'}.items():
            (home.models / "base" / name).mkdir(parents=True)
            (home.models / "base" / name / SOURCE).write_text(content)
        assert gguf_base(file, "model-gguf", home).name == "model-gguf"


class TestNothingHalf:
    def test_a_failed_proof_leaves_nothing(self, file: Path, home: Home, child: Child) -> None:
        child.proof = [
            PASSED,
            {"name": "f16: stops", "passed": False, "figure": 0.0, "bound": 1.0, "detail": "it never ends"},
            {"name": "f16: greedy answers", "passed": False, "figure": 0.0, "bound": 1.0, "detail": "other answers"},
        ]
        with pytest.raises(ModelError, match=r"f16: stops, f16: greedy answers.*it never ends") as caught:
            gguf_base(file, "model-gguf", home)
        assert caught.value.title == "The model file is not proved"
        assert in_base(home) == []
        child.proof = []
        with pytest.raises(ModelError, match="nothing was checked"):
            gguf_base(file, "model-gguf", home)

    def test_a_file_that_changes_meanwhile(
        self, file: Path, home: Home, child: Child, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def run(task: Mapping[str, Any], log: Path, note: Any) -> dict[str, Any]:
            outcome = child(task, log, note)
            os.utime(file, (1, 1))
            return outcome

        monkeypatch.setattr("core.train.gguf_base._run_child", run)
        with pytest.raises(ModelError, match="was changed while it was read"):
            gguf_base(file, "model-gguf", home)
        assert in_base(home) == []

    def test_two_processes_at_once(self, file: Path, home: Home, child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
        def run(task: Mapping[str, Any], log: Path, note: Any) -> dict[str, Any]:
            if child.runs == 0:
                outcome = child(task, log, note)
                gguf_base(file, "model-gguf", home)  # the other one, from beginning to end
                return outcome
            return child(task, log, note)

        monkeypatch.setattr("core.train.gguf_base._run_child", run)
        assert gguf_base(file, "model-gguf", home).name == "model-gguf"
        assert child.runs == 2
        assert in_base(home) == ["model-gguf"]

    def test_what_dead_processes_left_is_removed_and_what_living_ones_make_is_not(
        self, file: Path, home: Home, child: Child
    ) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        base = home.models / "base"
        for pid in (gone.pid, os.getpid()):
            (base / f".model-gguf.{pid}-00000000.new").mkdir(parents=True)
        dead = f".model-gguf.{gone.pid}-00000000.new"
        (base / f".{dead}.{gone.pid}.abcd.partial").mkdir()
        gguf_base(file, "model-gguf", home)
        assert in_base(home) == [f".model-gguf.{os.getpid()}-00000000.new", "model-gguf"]

    def test_no_such_file(self, home: Home, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="cannot be read"):
            gguf_base(tmp_path / "none.gguf", "none-gguf", home)


@pytest.mark.parametrize(
    ("types", "kind"),
    [({0}, "f16"), ({0, 1}, "f16"), ({0, 30}, "q8_0"), ({0, 8}, "q8_0"), ({0, 12, 14}, "q8_0"), ({0, 1, 2}, "q8_0")],
)
def test_the_bounds_of_a_proof(types: set[int], kind: str) -> None:
    assert bounds_kind(types) == kind


@pytest.mark.process
class TestInItsProcess:
    """The real thing: taken apart in a process of its own, and proved against llama.cpp on the same file."""

    @pytest.mark.parametrize("kind", ["F16", "Q8_0", "BF16"])
    def test_a_good_file_is_proved(self, trained: Path, home: Home, tmp_path: Path, kind: str) -> None:
        told: list[str] = []
        path = write_gguf(trained, tmp_path / "m.gguf", kind)
        folder = gguf_base(path, "m-gguf", home, note=told.append)
        check_model_folder(folder)
        source = source_of(folder)
        assert source["kind"] == ("f16" if kind == "F16" else "q8_0")
        assert source["chat_template"] == "of the file"
        assert {check["name"].partition(": ")[2] for check in source["proof"]} >= {
            "token parity",
            "chat template",
            "logits: mean KL",
            "greedy answers",
            "stops",
        }
        assert all(check["passed"] for check in source["proof"])
        assert any("Comparing answers: 100%" in text for text in told)
        assert in_base(home) == ["m-gguf"]

    def test_a_file_without_a_template_is_proved_with_the_one_handed_in(
        self, trained: Path, home: Home, tmp_path: Path
    ) -> None:
        path = write_gguf(trained, tmp_path / "m.gguf", fields={"tokenizer.chat_template": LEFT_OUT})
        folder = gguf_base(path, "m-gguf", home, chat_template=TEMPLATE)
        source = source_of(folder)
        assert source["chat_template"] == "of the preset"
        assert "f16: chat template" not in {check["name"] for check in source["proof"]}

    def test_a_wrong_reading_does_not_pass_the_proof(self, made_file: Path, tmp_path: Path) -> None:
        # The folder of one file, held against another: queries in another order.
        from core.backends.llamacpp import LlamaCppBackend
        from core.release.proof import prove
        from core.train.gguf_base_child import PROMPTS

        wrong = rewrite(
            made_file, tmp_path / "m.gguf", tensors=lambda name, v: v[::-1].copy() if "attn_q" in name else v
        )
        folder = import_gguf(made_file, tmp_path / "out")
        with LlamaCppBackend(threads=1) as backend:
            checks = prove(folder, wrong, PROMPTS, backend, kind="q8_0")
        assert "logits: mean KL" in {check.name for check in checks if not check.passed}

    def test_the_words_of_the_child_reach_the_user(self, home: Home, tmp_path: Path) -> None:
        path = tmp_path / "m.gguf"
        path.write_bytes(b"no model at all")
        with pytest.raises(ModelError, match="does not begin as a GGUF file") as caught:
            gguf_base(path, "m-gguf", home)
        assert caught.value.title == "The model file is damaged"

    def test_the_caller_stays_free_of_torch(self, trained: Path, tmp_path: Path, home: Home) -> None:
        path = write_gguf(trained, tmp_path / "m.gguf")
        code = (
            "import sys; from pathlib import Path; from core.paths import Home\n"
            "from core.train.presets import resolve_base\n"
            f"resolve_base({str(path)!r}, Home(Path({str(home.root)!r})))\n"
            "print([name for name in ('torch', 'transformers', 'llama_cpp', 'gguf') if name in sys.modules])"
        )
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert out.strip() == "[]"
