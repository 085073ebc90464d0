"""The client against the Ollama that is installed here, with a store and a port of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.backends.backend import Message, Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.backends.ollama import OllamaBackend
from core.backends.ollama_api import OllamaApi
from core.backends.ollama_era import era_of
from core.errors import BackendError

EXECUTABLE = shutil.which("ollama")
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(EXECUTABLE is None, reason="no `ollama` is installed here"),
]
ASK = (Message("user", "Draw a library."),)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(tmp_path / "ollama"),
        "HOME": str(tmp_path),
    }
    log = tmp_path / "ollama.txt"
    with log.open("wb") as output:
        server = subprocess.Popen([str(EXECUTABLE), "serve"], env=environment, stdout=output, stderr=output)
    try:
        with OllamaApi(f"127.0.0.1:{port}") as api:
            for _ in range(150):
                try:
                    api.version()
                    break
                except BackendError:
                    assert server.poll() is None, log.read_text(errors="replace")
                    time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def test_publishing_naming_answering_and_removing(url: str, model: str) -> None:
    path = Path(model)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with OllamaApi(url) as api:
        era = era_of(api.version())
        # The Jinja template of the test's model in Go's words, for a server that renders no other.
        template = "<bos>{{ range .Messages }}<{{ .Role }}>{{ .Content }}<end>{{ end }}<assistant>"
        api.upload(path, digest)
        assert api.has_blob(digest)
        statuses = api.create(
            "ft-erd:v1",
            files={path.name: digest},
            parameters={"temperature": 0.3, "stop": ["###"], "num_ctx": 512},
            system="",
            template=template if era.renders == "go" else None,
        )
        assert statuses[-1] == "success"
        shown = api.show("ft-erd:v1")
        if not era.rewrites_files:
            assert shown.modelfile_file_sha256 == digest
        assert shown.parameters == {"temperature": [0.3], "stop": ["###"], "num_ctx": [512]}
        assert shown.context_length == 1024
        api.copy("ft-erd:v1", "ft-erd")
        assert api.digest_of("ft-erd") == api.digest_of("ft-erd:v1")
        if era.renders == "native" and era.knows_render_only:
            with LlamaCppBackend() as embedded:
                assert api.render_only("ft-erd", ASK) in (None, embedded.render(model, ASK))
        api.warm("ft-erd")
        assert api.loaded() == ["ft-erd:latest"]
        sampling = Sampling(temperature=0.0, top_k=1, max_tokens=24)
        with OllamaBackend(url, num_ctx=512) as ollama, LlamaCppBackend() as embedded:
            there = ollama.generate("ft-erd", ASK, sampling)
            here = embedded.generate(model, ASK, sampling)
        assert (there.text, there.prompt_tokens) == (here.text, here.prompt_tokens)
        api.unload("ft-erd")
        assert api.delete("ft-erd")
        assert api.delete("ft-erd:v1")
        assert api.models() == []
