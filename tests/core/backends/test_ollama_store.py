"""Finding the GGUF file of a model that Ollama holds, through its server and in its store on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ollama_holding import Served, add_model, serving, shown

from core.backends.ollama_names import parse_name
from core.backends.ollama_store import find, held, server_url
from core.errors import ModelError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ollama's store, with no server that answers."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    return tmp_path / "ollama"


@pytest.fixture
def served(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    answers = Served()
    with serving(answers) as host:
        monkeypatch.setenv("OLLAMA_HOST", host)
        yield answers


def whole_tree(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(root.rglob("*"))}


class TestNames:
    @pytest.mark.parametrize(
        ("text", "short", "parts"),
        [
            ("llama3.2:3b", "llama3.2:3b", ("registry.ollama.ai", "library", "llama3.2", "3b")),
            ("tiny", "tiny:latest", ("registry.ollama.ai", "library", "tiny", "latest")),
            ("me/Tiny:V1", "me/Tiny:V1", ("registry.ollama.ai", "me", "tiny", "v1")),
            ("hf.co/me/tiny:Q8_0", "hf.co/me/tiny:Q8_0", ("hf.co", "me", "tiny", "q8_0")),
            ("my.host:5000/me/tiny", "my.host:5000/me/tiny:latest", ("my.host:5000", "me", "tiny", "latest")),
        ],
    )
    def test_parts(self, text: str, short: str, parts: tuple[str, ...]) -> None:
        assert parse_name(text).short == short
        assert parse_name(text).parts == parts
        assert parse_name(parse_name(text).short) == parse_name(text)

    @pytest.mark.parametrize(
        "text", ["", ":", "a b", "../x", "a/b/c/d", "x:", "/x", "a//b", "x" * 81, ".hidden", "x:y:z"]
    )
    def test_no_names(self, text: str) -> None:
        with pytest.raises(ModelError, match="no name of a model"):
            parse_name(text)

    @pytest.mark.parametrize("text", ["gpt-oss:120b-cloud", "big:cloud"])
    def test_cloud_models(self, text: str) -> None:
        with pytest.raises(ModelError, match="cloud"):
            parse_name(text)


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("somewhere", "http://somewhere:11434"),
        ("somewhere:80", "http://somewhere:80"),
        (":5000", "http://127.0.0.1:5000"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:5000", "http://127.0.0.1:5000"),
        ("http://somewhere", "http://somewhere:80"),
        ("https://somewhere/ollama/", "https://somewhere:443/ollama"),
        ("http://somewhere:7000/", "http://somewhere:7000"),
        ("[::1]:7000", "http://[::1]:7000"),
        ("somewhere:notaport", "http://127.0.0.1:11434"),
        (' "quoted:1" ', "http://quoted:1"),
    ],
)
def test_where_the_server_is(variable: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", variable)
    assert server_url() == url


class TestStore:
    def test_a_model_is_found_and_nothing_is_changed(self, root: Path) -> None:
        blob = add_model(root, "llama3.2:3b", layers={"license": b"l", "model": b"GGUFxx", "template": b"t"})
        before = whole_tree(root)
        for name in ("llama3.2:3b", "LLAMA3.2:3B", "library/llama3.2:3b", "registry.ollama.ai/library/llama3.2:3b"):
            found = find(name)
            assert found.gguf == blob
            assert found.digest == blob.name.removeprefix("sha256-")
            assert found.name == "llama3.2:3b"
        assert whole_tree(root) == before

    def test_namespaces_hosts_and_the_tag_that_goes_without_saying(self, root: Path) -> None:
        mine = add_model(root, "tiny:latest", layers={"model": b"mine"}, place="registry.ollama.ai/me")
        other = add_model(root, "tiny:Q8_0", layers={"model": b"other"}, place="hf.co/someone")
        assert find("me/tiny").gguf == mine
        assert find("hf.co/someone/tiny:q8_0").gguf == other
        assert [one.name for one in held()] == ["hf.co/someone/tiny:Q8_0", "me/tiny:latest"]
        assert held()[1].bytes == 4
        with pytest.raises(ModelError, match="does not hold tiny:latest"):
            find("tiny")

    def test_close_names_and_the_next_step(self, root: Path) -> None:
        add_model(root, "llama3.2:3b")
        with pytest.raises(ModelError, match=r"does not hold llama3\.2:2b") as caught:
            find("llama3.2:2b")
        assert "ollama pull llama3.2:2b" in caught.value.hint
        assert "Did you mean llama3.2:3b?" in caught.value.hint

    def test_no_ollama_at_all(self, root: Path) -> None:
        assert held() == []
        with pytest.raises(ModelError, match="does not hold") as caught:
            find("llama3.2:3b")
        assert "ollama pull llama3.2:3b" in caught.value.hint

    @pytest.mark.parametrize(
        ("layers", "why"),
        [
            ({"model": b"a", "adapter": b"b"}, "adapter"),
            ({"model": b"a", "projector": b"b"}, "vision"),
            ({"model": b"a", "model#2": b"b"}, "several parts"),
            ({"tensor": b"a"}, "no GGUF file"),
            ({"license": b"a"}, "not on this machine"),
        ],
    )
    def test_what_is_no_single_text_model(self, root: Path, layers: dict[str, bytes], why: str) -> None:
        add_model(root, "odd:1", layers=layers)
        with pytest.raises(ModelError, match=why):
            find("odd:1")

    @pytest.mark.parametrize(
        ("damage", "why"),
        [
            (lambda blob, manifest: blob.unlink(), "is missing"),
            (lambda blob, manifest: blob.write_bytes(b"GG"), "has 2 of"),
            (lambda blob, manifest: manifest.write_text("{"), "manifest .* is damaged"),
            (lambda blob, manifest: manifest.write_text('{"layers": [{"digest": "sha256:../../x"}]}'), "is damaged"),
            (lambda blob, manifest: manifest.write_text("[]"), "is damaged"),
        ],
    )
    def test_a_model_that_is_not_whole(self, root: Path, damage: Callable[[Path, Path], object], why: str) -> None:
        blob = add_model(root, "tiny:1")
        damage(blob, root / "manifests/registry.ollama.ai/library/tiny/1")
        with pytest.raises(ModelError, match=why) as caught:
            find("tiny:1")
        assert "ollama pull tiny:1" in caught.value.hint

    def test_stray_files_are_passed_over(self, root: Path) -> None:
        add_model(root, "tiny:1")
        (root / "manifests" / ".DS_Store").write_text("x")
        (root / "manifests/registry.ollama.ai/library/tiny/.tmp").write_text("x")
        assert [one.name for one in held()] == ["tiny:1"]

    def test_a_file_of_another_user(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        blob = add_model(root, "tiny:1")
        forbid(monkeypatch, blob)
        with pytest.raises(ModelError, match="may not be read by you") as caught:
            find("tiny:1")
        assert "usermod -aG ollama" in caught.value.hint

    def test_a_store_of_another_user(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        add_model(root, "tiny:1")
        listing = Path.iterdir

        def refuse(path: Path) -> Iterator[Path]:
            if path == root / "manifests":
                raise PermissionError(13, "Permission denied", str(path))
            return listing(path)

        monkeypatch.setattr(Path, "iterdir", refuse)
        with pytest.raises(ModelError, match="may not be read by you") as caught:
            find("tiny:1")
        assert "ollama serve" in caught.value.hint


class TestServer:
    def test_the_server_knows_where_its_files_are(self, served: Served, tmp_path: Path) -> None:
        blob = tmp_path / f"sha256-{'b' * 64}"
        blob.write_bytes(b"GGUF")
        served.models["llama3.2:3b"] = shown(str(blob))
        found = find("llama3.2:3b")
        assert (found.gguf, found.digest, found.name) == (blob, "b" * 64, "llama3.2:3b")
        assert served.requests == [("/api/show", {"model": "llama3.2:3b"})]
        (listed,) = held()
        assert (listed.name, listed.parameters, listed.quantization) == ("llama3.2:3b", "3.2B", "Q4_K_M")
        assert listed.bytes == 2_019_393_189

    def test_a_model_that_the_server_does_not_know(self, served: Served) -> None:
        served.models["llama3.2:3b"] = shown("/x")
        with pytest.raises(ModelError, match=r"does not hold llama3\.2:8b") as caught:
            find("llama3.2:8b")
        assert "Did you mean llama3.2:3b?" in caught.value.hint

    def test_a_server_in_a_container_whose_store_is_here(self, served: Served, root: Path) -> None:
        blob = add_model(root, "tiny:1")
        served.models["tiny:1"] = shown(f"/inside/{blob.name}")
        assert find("tiny:1").gguf == blob

    def test_a_server_on_another_machine(self, served: Served) -> None:
        served.models["tiny:1"] = shown(f"/elsewhere/blobs/sha256-{'c' * 64}")
        with pytest.raises(ModelError, match="no such file on this machine") as caught:
            find("tiny:1")
        assert f"/elsewhere/blobs/sha256-{'c' * 64}" in caught.value.message
        assert "OLLAMA_MODELS" in caught.value.hint

    def test_a_blob_of_the_service_user(self, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        blob = tmp_path / f"sha256-{'d' * 64}"
        blob.write_bytes(b"GGUF")
        forbid(monkeypatch, blob)
        served.models["tiny:1"] = shown(str(blob))
        with pytest.raises(ModelError, match="may not be read by you"):
            find("tiny:1")

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (shown("/a", adapter="/b"), "adapter"),
            (shown("/a", "/b"), "more than one file"),
            (shown("other:latest"), "no GGUF file"),
            (shown(), "no GGUF file"),
            ({**shown("x:cloud"), "remote_host": "https://ollama.com:443", "remote_model": "x"}, "cloud"),
        ],
    )
    def test_what_is_no_single_text_model(self, served: Served, answer: dict[str, object], why: str) -> None:
        served.models["odd:1"] = answer
        with pytest.raises(ModelError, match=why):
            find("odd:1")

    @pytest.mark.parametrize("status", [500, 503])
    def test_a_server_in_trouble_leaves_the_store(self, served: Served, root: Path, status: int) -> None:
        blob = add_model(root, "tiny:1")
        served.models["tiny:1"] = shown("/nowhere")
        served.status = status
        assert find("tiny:1").gguf == blob
        assert [one.name for one in held()] == ["tiny:1"]

    @pytest.mark.parametrize("answer", [{"models": None}, {"models": [None, {"name": 1}]}])
    def test_odd_lists(self, served: Served, answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("core.backends.ollama_store._ask", lambda *_: json.loads(json.dumps(answer)))
        assert all(isinstance(one.name, str) for one in held())


def forbid(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Opening `file` is refused, as for another user; the tests may run as root, who may read all."""
    opening = Path.open

    def refuse(path: Path, *arguments: object, **more: object) -> object:
        if os.fspath(path) == os.fspath(file):
            raise PermissionError(13, "Permission denied", str(path))
        return opening(path, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
