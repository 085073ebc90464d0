"""Which model a setting means: only what is on the machine, and nothing that would run code or unpickle."""

from __future__ import annotations

import importlib.util
import json
import os
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from core.backends import embedding_models
from core.backends.embedding_models import EmbeddingModel, find_model, missing_package
from core.errors import ConfigError


def make_folder(folder: Path, *, kind: str = "sentence_transformers.models.Transformer") -> Path:
    """The files that tell a sentence-transformers model, without a real one in them."""
    folder.mkdir(parents=True)
    modules = [{"idx": 0, "path": "", "type": kind}, {"idx": 1, "path": "1_Pooling", "type": kind}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == embedding_models.PACKAGE else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)


def in_cache(hub: Path, revision: str) -> Path:
    return hub / "models--sentence-transformers--all-MiniLM-L6-v2" / "snapshots" / revision


class TestAuto:
    def test_the_packaged_model_comes_first(self) -> None:
        found = find_model("auto")
        assert found is not None
        assert (found.label, found.path.name, found.kind) == ("all-MiniLM-L6-v2", "model", "sentence-transformers")
        assert missing_package(found) is None

    @pytest.mark.usefixtures("no_package")
    def test_none_on_the_machine(self) -> None:
        assert find_model("auto") is None

    @pytest.mark.usefixtures("no_package")
    @pytest.mark.parametrize(
        ("variable", "below"), [("HF_HOME", "hub"), ("HF_HUB_CACHE", ""), ("XDG_CACHE_HOME", "huggingface/hub")]
    )
    def test_the_cache_of_the_hub(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, below: str
    ) -> None:
        monkeypatch.delenv("HF_HOME")
        monkeypatch.setenv(variable, str(tmp_path / "cache"))
        hub = tmp_path / "cache" / below
        older, current = (make_folder(in_cache(hub, mark * 40)) for mark in "ab")
        assert find_model("auto") == EmbeddingModel("all-MiniLM-L6-v2", older, "sentence-transformers")
        (hub / older.parts[-3] / "refs").mkdir()
        (hub / older.parts[-3] / "refs" / "main").write_text("b" * 40)
        assert find_model("auto") == EmbeddingModel("all-MiniLM-L6-v2", current, "sentence-transformers")

    @pytest.mark.usefixtures("no_package")
    def test_half_a_download_is_passed_over(self, tmp_path: Path) -> None:
        folder = make_folder(in_cache(tmp_path / "hf" / "hub", "a" * 40))
        (folder / "model.safetensors").unlink()
        assert find_model("auto") is None

    def test_switched_off(self) -> None:
        assert find_model("none") is None


class TestNamed:
    def test_a_folder_and_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = make_folder(tmp_path / "mine")
        file = tmp_path / "nomic.gguf"
        file.write_bytes(b"GGUF")
        assert find_model(str(folder)) == EmbeddingModel("mine", folder, "sentence-transformers")
        assert find_model(str(file)) == EmbeddingModel("nomic", file, "gguf")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert find_model("~/mine") == find_model(str(folder))

    @pytest.mark.parametrize(
        ("setting", "why"),
        [("nowhere", "no folder"), ("nowhere.gguf", "no file"), ("empty", r"modules\.json is missing")],
    )
    def test_what_is_missing(self, tmp_path: Path, setting: str, why: str) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(ConfigError, match=why) as caught:
            find_model(str(tmp_path / setting))
        assert "none" in caught.value.hint

    def test_code_in_the_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="code of its own"):
            find_model(str(make_folder(tmp_path / "own", kind="modeling_own.Model")))

    def test_pickled_weights_are_refused(self, tmp_path: Path) -> None:
        folder = make_folder(tmp_path / "old")
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
        with pytest.raises(ConfigError, match="pickled"):
            find_model(str(folder))

    @pytest.mark.parametrize("text", ["{", "[1]", "7", '[{"type": "x"}]'])
    def test_damaged_list_of_modules(self, tmp_path: Path, text: str) -> None:
        folder = make_folder(tmp_path / "bad")
        (folder / "modules.json").write_text(text)
        with pytest.raises(ConfigError, match="damaged"):
            find_model(str(folder))


class TestName:
    @pytest.mark.parametrize("changed", ["model.safetensors", "config.json", "modules.json"])
    def test_other_files_are_another_model(self, tmp_path: Path, changed: str) -> None:
        folder = make_folder(tmp_path / "mine")
        before = EmbeddingModel("mine", folder, "sentence-transformers")
        assert before.name == EmbeddingModel("mine", folder, "sentence-transformers").name
        stat = (folder / changed).stat()
        os.utime(folder / changed, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
        after = EmbeddingModel("mine", folder, "sentence-transformers")
        assert after.name != before.name
        assert after.outdated(before.name)
        assert not after.outdated(after.name)

    def test_two_of_one_label_are_two_models(self, tmp_path: Path) -> None:
        first, second = (
            EmbeddingModel("mine", make_folder(tmp_path / place / "mine"), "sentence-transformers") for place in "ab"
        )
        assert first.name != second.name
        assert not second.outdated(first.name)

    def test_a_gguf_file(self, tmp_path: Path) -> None:
        file = tmp_path / "m.gguf"
        file.write_bytes(b"GGUF")
        before = EmbeddingModel("m", file, "gguf").name
        file.write_bytes(b"GGUF2")
        assert EmbeddingModel("m", file, "gguf").outdated(before)
