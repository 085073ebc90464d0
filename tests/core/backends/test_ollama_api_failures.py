"""The client against servers that refuse, break, or are none."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fake_ollama import fake_ollama, set_faults
from ollama_client_kit import gguf, publish

from core.backends.ollama_api import OllamaApi, OllamaError
from core.errors import BackendError, ExportError


class TestUploadsThatFail:
    def test_a_cancelled_upload_leaves_nothing_and_may_be_repeated(self, url: str, tmp_path: Path) -> None:
        path, digest = gguf(tmp_path)
        seen: list[int] = []
        with OllamaApi(url) as api:
            with pytest.raises(ExportError) as caught:
                api.upload(path, digest, progress=lambda done, _: seen.append(done), cancelled=lambda: len(seen) > 1)
            assert "stopped" in caught.value.message
            assert not api.has_blob(digest)
            api.upload(path, digest)
            assert api.has_blob(digest)
        assert [path.name for path in (tmp_path / "ollama/blobs").iterdir()] == [f"sha256-{digest}"]

    def test_a_file_that_is_not_what_it_was(self, url: str, tmp_path: Path) -> None:
        path, digest = gguf(tmp_path)
        path.write_bytes(path.read_bytes()[:-1] + b"y")
        with OllamaApi(url) as api, pytest.raises(ExportError) as caught:
            api.upload(path, digest)
        assert caught.value.title == "The model file was changed"
        assert "doctor" in caught.value.hint

    @pytest.mark.parametrize("grows", [True, False])
    def test_a_file_that_changes_while_it_is_sent(self, url: str, tmp_path: Path, grows: bool) -> None:
        path, digest = gguf(tmp_path)

        def change(done: int, total: int) -> None:
            if done == 1 << 20:
                path.write_bytes(b"z" * ((5 << 20) if grows else 10))

        with OllamaApi(url) as api, pytest.raises(ExportError, match="changed its size"):
            api.upload(path, digest, progress=change)

    def test_a_file_that_is_missing(self, url: str, tmp_path: Path) -> None:
        with OllamaApi(url) as api, pytest.raises(ExportError, match="cannot be read"):
            api.upload(tmp_path / "none.gguf", "0" * 64)

    def test_a_connection_that_breaks(self, url: str, tmp_path: Path) -> None:
        path, digest = gguf(tmp_path, size=8 << 20)
        set_faults(url, upload_cut=1 << 20)
        with OllamaApi(url) as api:
            with pytest.raises(BackendError) as caught:
                api.upload(path, digest)
            assert caught.value.title == "Ollama is gone"
            set_faults(url)
            api.upload(path, digest)

    def test_a_full_disk(self, url: str, tmp_path: Path) -> None:
        path, digest = gguf(tmp_path)
        set_faults(url, upload_full=True)
        with OllamaApi(url) as api, pytest.raises(BackendError) as caught:
            api.upload(path, digest)
        assert caught.value.title == "Ollama's disk is full"
        assert "OLLAMA_MODELS" in caught.value.hint


class TestCreatingThatFails:
    def refused(self, url: str, folder: Path, **wanted: Any) -> OllamaError:
        with OllamaApi(url) as api:
            with pytest.raises(OllamaError) as caught:
                publish(api, folder, **wanted)
            return caught.value

    def test_an_error_in_the_middle_of_a_stream_that_began_well(self, any_url: str, tmp_path: Path) -> None:
        set_faults(any_url, create_line="write /models: no space left on device")
        error = self.refused(any_url, tmp_path)
        assert error.title == "Ollama's disk is full"
        assert error.status == 200

    def test_an_error_before_the_first_line(self, any_url: str, tmp_path: Path) -> None:
        set_faults(any_url, create_status=400, create_error="invalid model name")
        error = self.refused(any_url, tmp_path)
        assert "invalid model name" in error.message
        assert error.status == 400

    def test_a_stream_that_breaks(self, url: str, tmp_path: Path) -> None:
        set_faults(url, create_cut=True)
        assert self.refused(url, tmp_path).title == "Ollama is gone"

    def test_a_stream_that_ends_without_success(self, url: str, tmp_path: Path) -> None:
        set_faults(url, create_cut="line")
        assert "'writing manifest'" in self.refused(url, tmp_path).message

    def test_a_template_that_the_server_chose_itself(self, url: str, tmp_path: Path) -> None:
        chatml = (
            "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
            "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
            "{% endif %}"
        )
        set_faults(url, create_template=chatml)
        error = self.refused(url, tmp_path, template=None)
        assert error.title == "Another chat template"
        assert "(chatml)" in error.message
        with OllamaApi(url) as api:
            publish(api, tmp_path, template="{{ .Prompt }}")
            assert api.show("ft-erd:v1").template == "{{ .Prompt }}"

    def test_a_server_that_cannot_rewrite_files(self, tmp_path: Path) -> None:
        with fake_ollama("0.33.0", tmp_path / "ollama") as url:
            set_faults(url, no_quantize=True)
            assert "0.34.1" in self.refused(url, tmp_path).hint

    def test_a_file_that_was_never_uploaded(self, any_url: str) -> None:
        with OllamaApi(any_url) as api, pytest.raises(OllamaError, match="not found"):
            api.create("ft-erd:v1", files={"a.gguf": "0" * 64}, parameters={})

    def test_words_of_a_server_are_shown_in_one_short_line(self, url: str, tmp_path: Path) -> None:
        set_faults(url, create_status=500, create_error="\x1b[31mred\r\n\u202ethen " + "long " * 400)
        error = self.refused(url, tmp_path)
        assert error.message.isprintable()
        assert error.message.startswith("Ollama says:  [31mred then long".replace("  ", " "))
        assert len(error.message) < 330


class TestServersThatAreNone:
    def test_nobody_answers(self) -> None:
        with OllamaApi() as api, pytest.raises(BackendError) as caught:
            api.version()
        assert caught.value.title == "Ollama does not answer"
        assert "ollama serve" in caught.value.hint
        assert "127.0.0.1:9" in caught.value.message

    def test_a_server_that_is_silent(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            with OllamaApi(f"127.0.0.1:{port}", timeout=0.05) as api, pytest.raises(BackendError) as caught:
                api.version()
        assert caught.value.title == "Ollama does not answer"

    @pytest.mark.parametrize("content", [b"<html>hello</html>", b'["a list"]', b'{"name": "another program"}', b""])
    def test_another_program_answers(self, content: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            with OllamaApi(f"127.0.0.1:{server.server_address[1]}") as api, pytest.raises(BackendError) as caught:
                api.version()
        finally:
            server.shutdown()
            server.server_close()
        assert caught.value.title == "No Ollama"

    def test_an_address_that_is_none(self) -> None:
        with OllamaApi("http://a b\n:x") as api, pytest.raises(BackendError):
            api.version()

    def test_an_address_is_read_as_ollama_reads_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OLLAMA_HOST", "0.0.0.0:1234")
        assert OllamaApi().url == "http://127.0.0.1:1234"
        assert OllamaApi("localhost").url == "http://localhost:11434"
        assert OllamaApi("https://box.local/ollama/").url == "https://box.local:443/ollama"
