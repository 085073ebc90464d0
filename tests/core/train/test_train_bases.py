"""Bases from GGUF files and from Ollama by name, downloads on request, and the list of what there is."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "backends"))
sys.path.insert(0, str(Path(__file__).parents[1] / "release"))

from gguf_making import write_gguf
from ollama_holding import Served, add_model, serving, shown

from core.config import load_config
from core.errors import FinetuneError, ModelError
from core.paths import Home
from core.train.bases import list_bases
from core.train.chat_templates import CODE_LLAMA, DEEPSEEK_CODER, LLAMA_3, MISTRAL
from core.train.download import UNWANTED, WANTED, download_base
from core.train.known_models import preset_of_ollama
from core.train.presets import PRESETS, known_config, resolve_base


@pytest.fixture(autouse=True)
def ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ollama's store, empty, with no server that answers."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    return tmp_path / "ollama"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    answers = Served()
    with serving(answers) as host:
        monkeypatch.setenv("OLLAMA_HOST", host)
        yield answers


@pytest.fixture
def tasks(base: Path, monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """What the process that takes files apart was asked; it gives the tiny model for any file."""
    asked: list[Mapping[str, Any]] = []

    def run(task: Mapping[str, Any], log: Path, note: Any) -> dict[str, Any]:
        asked.append(task)
        shutil.copytree(base, task["folder"])
        return {"kind": "f16", "chat_template": "of the file", "proof": [{"name": "all", "passed": True}]}

    monkeypatch.setattr("core.train.gguf_base._run_child", run)
    return asked


class TestGgufFiles:
    def test_a_file_by_its_path(
        self, home: Home, tmp_path: Path, tasks: list[Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "My Model.Q8_0.GGUF"
        path.write_bytes(b"GGUF of mine")
        monkeypatch.chdir(tmp_path)
        base = resolve_base("My Model.Q8_0.GGUF", home)
        assert base.name == "my-model.q8_0-gguf"
        assert base.path == home.models / "base" / base.name
        assert tasks[0]["path"] == str(path)
        assert tasks[0]["chat_template"] is None
        assert resolve_base(str(path), home, make=False).path == base.path
        path.unlink()  # what was made of it stays
        assert resolve_base(str(path), home).path == base.path
        assert len(tasks) == 1
        assert resolve_base(str(base.path), home).name == base.name

    def test_a_blob_without_a_suffix_is_known_by_its_content(
        self, home: Home, tmp_path: Path, tasks: list[Mapping[str, Any]]
    ) -> None:
        blob = tmp_path / f"sha256-{'0' * 64}"
        blob.write_bytes(b"GGUF of mine")
        assert resolve_base(str(blob), home).path.is_dir()
        (tmp_path / "notes").write_text("no model")
        with pytest.raises(ModelError, match="is a file"):
            resolve_base(str(tmp_path / "notes"), home)

    def test_nothing_is_made_where_only_a_look_was_wanted(
        self, home: Home, tmp_path: Path, tasks: list[Mapping[str, Any]], ollama: Path
    ) -> None:
        (tmp_path / "m.gguf").write_bytes(b"GGUF")
        add_model(ollama, "llama3.2:3b")
        for name in (str(tmp_path / "m.gguf"), "ollama:llama3.2:3b", "llama-3.2-3b"):
            with pytest.raises(ModelError, match="not taken apart"):
                resolve_base(name, home, make=False)
        assert tasks == []

    def test_what_is_known_before_anything_is_made(
        self, home: Home, tmp_path: Path, ollama: Path, tasks: list[Mapping[str, Any]], base: Path
    ) -> None:
        path = write_gguf(base, tmp_path / "m.gguf")
        add_model(ollama, "tiny:1", layers={"model": path.read_bytes()})
        for name in (str(path), "ollama:tiny:1"):
            found = known_config(name, home)
            assert found is not None
            assert found["hidden_size"] == 32
        assert known_config("Qwen3-4B", home) == PRESETS["qwen3-4b"].config
        assert known_config("demo", home) is None
        assert known_config(str(base), home) is None
        assert tasks == []

    def test_no_such_file(self, home: Home) -> None:
        with pytest.raises(ModelError, match="no file"):
            resolve_base("/nowhere/model.gguf", home)


class TestOllama:
    def test_by_name(self, home: Home, served: Served, tmp_path: Path, tasks: list[Mapping[str, Any]]) -> None:
        blob = tmp_path / f"sha256-{'b' * 64}"
        blob.write_bytes(b"GGUF")
        served.models["me/tiny:1"] = shown(str(blob))
        base = resolve_base("ollama:me/tiny:1", home)
        assert (base.name, base.title) == ("me-tiny-1-gguf", "ollama:me/tiny:1")
        assert tasks[0]["path"] == str(blob)
        served.models.clear()  # Ollama no longer holds it, or is not running: what was made of it stays
        assert resolve_base("ollama:me/tiny:1", home).path == base.path
        with pytest.raises(ModelError, match="does not hold me/other:latest"):
            resolve_base("ollama:me/other", home)

    def test_a_preset_that_is_not_here_is_taken_from_ollama(
        self, home: Home, ollama: Path, tasks: list[Mapping[str, Any]], base: Path
    ) -> None:
        blob = add_model(ollama, "llama3.2:3b")
        told: list[str] = []
        found = resolve_base("llama-3.2-3b", home, note=told.append)
        assert (found.name, found.title) == ("llama3.2-3b-gguf", "Llama 3.2 3B (Ollama's llama3.2:3b)")
        assert told[0] == "Llama 3.2 3B is taken from what Ollama holds as llama3.2:3b."
        assert tasks == [{"path": str(blob), "folder": tasks[0]["folder"], "chat_template": LLAMA_3}]
        assert resolve_base("llama-3.2-3b", home, make=False).path == found.path
        own = shutil.copytree(base, home.models / "base" / "llama-3.2-3b")
        assert resolve_base("llama-3.2-3b", home).path == own
        assert len(tasks) == 1

    def test_a_preset_that_is_nowhere(self, home: Home, tasks: list[Mapping[str, Any]]) -> None:
        with pytest.raises(ModelError, match="is not on this machine") as caught:
            resolve_base("codellama-7b", home)
        assert "finetune-tui models --download codellama-7b" in caught.value.hint
        assert "ollama pull codellama:7b-instruct" in caught.value.hint

    @pytest.mark.parametrize(
        ("name", "preset"),
        [
            ("llama3:8b", "llama-3-8b"),
            ("llama3", "llama-3-8b"),
            ("llama3:70b-instruct-q4_0", "llama-3-8b"),
            ("llama3:8b-text", None),
            ("llama3.2:1b", "llama-3.2-3b"),
            ("qwen3:4b", "qwen3-4b"),
            ("qwen3:14b", "qwen3-1.7b"),
            ("codellama:7b", "codellama-7b"),
            ("codellama:7b-code", None),
            ("codellama:7b-python", None),
            ("deepseek-coder:6.7b-base", None),
            ("mistral:latest", "mistral-7b"),
            ("someone/mistral:latest", None),
            ("phi4", None),
        ],
    )
    def test_the_preset_of_a_name(self, name: str, preset: str | None) -> None:
        found = preset_of_ollama(name)
        assert (found.name if found else None) == preset


class TestTemplates:
    CHAT = (("system", "Be brief."), ("user", " Hi. "), ("assistant", "Yes?"), ("user", "Bye."))

    def render(self, template: str, chat: tuple[tuple[str, str], ...], *, follows: bool) -> str:
        """As transformers does it."""
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        messages = [{"role": role, "content": content} for role, content in chat]
        made = environment.from_string(template)
        return made.render(messages=messages, add_generation_prompt=follows, bos_token="<s>", eos_token="</s>")

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            (
                LLAMA_3,
                "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nHi.<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\nYes?<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nBye.<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\n",
            ),
            (MISTRAL, "<s>[INST] Be brief.\n\n Hi. [/INST] Yes?</s>[INST] Bye.[/INST]"),
            (
                CODE_LLAMA,
                "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi. [/INST] Yes? </s><s>[INST] Bye. [/INST]",
            ),
            (
                DEEPSEEK_CODER,
                "<s>Be brief.\n### Instruction:\n Hi. \n### Response:\nYes?\n<|EOT|>\n### Instruction:\nBye.\n"
                "### Response:\n",
            ),
        ],
    )
    def test_what_they_write(self, template: str, expected: str) -> None:
        assert self.render(template, self.CHAT, follows=True) == expected

    @pytest.mark.parametrize("name", sorted(name for name, preset in PRESETS.items() if preset.chat_template))
    def test_a_prompt_is_the_beginning_of_the_whole_conversation(self, name: str) -> None:
        template = PRESETS[name].chat_template
        prompt = self.render(template, self.CHAT[:2], follows=True)
        whole = self.render(template, self.CHAT[:3], follows=False)
        assert whole.startswith(prompt)
        assert "Yes?" in whole[len(prompt) :]


class TestDownload:
    @pytest.fixture(autouse=True)
    def online(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.delenv("TRANSFORMERS_OFFLINE")

    def test_a_preset_and_an_id(self, home: Home, base: Path) -> None:
        asked: list[dict[str, Any]] = []

        def snapshot(**wanted: Any) -> None:
            asked.append(wanted)
            shutil.copytree(base, wanted["local_dir"], dirs_exist_ok=True)

        for name, hub_id, folder in (
            ("Qwen3-4B", "Qwen/Qwen3-4B", "qwen3-4b"),
            ("some/My_Model", "some/My_Model", "my_model"),
        ):
            found = download_base(name, home, snapshot=snapshot)
            assert found.path == home.models / "base" / folder
            assert asked[-1] == {
                "repo_id": hub_id,
                "local_dir": found.path,
                "allow_patterns": list(WANTED),
                "ignore_patterns": list(UNWANTED),
            }
            assert resolve_base(name, home).path == found.path

    def test_the_template_of_a_preset_whose_repository_has_none(self, home: Home, base: Path) -> None:
        def snapshot(*, local_dir: Path, **_: Any) -> None:
            shutil.copytree(base, local_dir)
            (local_dir / "chat_template.jinja").unlink(missing_ok=True)
            settings = json.loads((local_dir / "tokenizer_config.json").read_text())
            settings.pop("chat_template", None)
            (local_dir / "tokenizer_config.json").write_text(json.dumps(settings))

        found = download_base("mermaidmistral-7b", home, snapshot=snapshot)
        assert (found.path / "chat_template.jinja").read_text() == MISTRAL
        with pytest.raises(ModelError, match="no chat template"):
            download_base("some/base-model", home, snapshot=snapshot)

    def test_code_is_never_asked_for(self) -> None:
        from huggingface_hub.utils._paths import filter_repo_objects

        offered = [
            "config.json", "modeling_x.py", "model-00001-of-00002.safetensors", "model.safetensors.index.json",
            "consolidated.safetensors", "pytorch_model.bin", "original/consolidated.00.pth", "tokenizer.json",
            "tokenizer.model", "chat_template.jinja", "onnx/model.onnx", "x/config.json", "README.md",
        ]  # fmt: skip
        chosen = list(filter_repo_objects(offered, allow_patterns=list(WANTED), ignore_patterns=list(UNWANTED)))
        assert chosen == [offered[n] for n in (0, 2, 3, 7, 8, 9)]

    @pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
    def test_downloads_that_are_switched_off(self, home: Home, switch: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(switch, "1")
        with pytest.raises(ModelError, match=f"{switch} is set"):
            download_base("qwen3-4b", home, snapshot=pytest.fail)

    @pytest.mark.parametrize(
        ("name", "why"), [("demo", "part of the product"), ("nonsense", "neither"), ("../x", "neither")]
    )
    def test_what_cannot_be_downloaded(self, home: Home, name: str, why: str) -> None:
        with pytest.raises(ModelError, match=why):
            download_base(name, home, snapshot=pytest.fail)

    def test_a_download_that_fails(self, home: Home) -> None:
        import huggingface_hub.errors
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        http: Any = sys.modules[huggingface_hub.errors.HfHubHTTPError.__bases__[0].__module__.partition(".")[0]]
        answer = http.Response(403, request=http.Request("GET", "https://huggingface.co/x"))
        for error, words in (
            (GatedRepoError("gated", response=answer), "accepted its licence"),
            (RepositoryNotFoundError("none", response=answer), "has no model"),
            (http.ConnectError("no route"), "no route"),
            (OSError(28, "No space left on device"), "No space left"),
        ):

            def snapshot(error: Exception = error, **_: Any) -> None:
                raise error

            with pytest.raises(ModelError, match=words) as caught:
                download_base("some/model", home, snapshot=snapshot)
            assert caught.value.hint


class TestList:
    def test_everything_there_is(
        self, home: Home, base: Path, served: Served, tasks: list[Mapping[str, Any]], tmp_path: Path
    ) -> None:
        shutil.copytree(base, home.models / "base" / "qwen3-4b")
        shutil.copytree(base, home.models / "base" / "mine")
        (tmp_path / "blob").write_bytes(b"GGUF")
        for name in ("llama3.2:3b", "gemma3:1b", "taken:1"):
            served.models[name] = shown(str(tmp_path / "blob"))
        resolve_base("ollama:taken:1", home)
        found = {one.name: one for one in list_bases(home, load_config(home))}
        assert list(found)[: len(PRESETS)] == list(PRESETS)
        assert {name: one.place for name, one in found.items() if one.place != "not here"} == {
            "demo": "here",
            "qwen3-4b": "here",
            "llama-3.2-3b": "in Ollama",
            str(home.models / "base" / "mine"): "here",
            "ollama:taken:1": "here",
            "ollama:gemma3:1b": "in Ollama",
        }
        assert found["llama-3.2-3b"].source == "llama3.2:3b"
        assert found["ollama:gemma3:1b"].title == "gemma3:1b (3.2B, Q4_K_M, 2.0 GB)"
        assert found["codellama-7b"].source == "codellama/CodeLlama-7b-Instruct-hf"
        assert found["demo"].verdict in {"fits", "tight", "does not fit"}
        assert found["codellama-7b"].memory.startswith(found["codellama-7b"].verdict)
        assert len(tasks) == 1

    def test_a_damaged_folder_is_listed_all_the_same(self, home: Home) -> None:
        (home.models / "base" / "odd").mkdir(parents=True)
        (home.models / "base" / "odd" / "config.json").write_text("{")
        assert [one.memory for one in list_bases(home, load_config(home)) if one.title == "odd"] == [""]


def test_the_errors_are_for_people(home: Home) -> None:
    for name in ("ollama:", "ollama:a b", "ollama:gpt-oss:120b-cloud"):
        with pytest.raises(FinetuneError) as caught:
            resolve_base(name, home)
        assert caught.value.hint
