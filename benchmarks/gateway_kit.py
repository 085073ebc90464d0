"""Programs that the benchmarks of the gateway start and kill, and the model that they ask."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODEL = "bench:latest"
PATIENCE = 120.0
"""Seconds in which a program must have begun to listen, have ended, or have done one command."""


def started(command: Sequence[str], log: Path = Path(os.devnull)) -> tuple[subprocess.Popen[str], str]:
    """A process and the first line that it prints; its complaints go into `log`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("w", encoding="utf-8") as complaints:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, env=environment, cwd=ROOT
        )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def address_of(url: str) -> tuple[str, int]:
    """Host and port of a URL without a path."""
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def hold(url: str) -> None:
    """Lets the fake Ollama hold the model that is asked."""
    content = b"GGUF"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    created = json.dumps({"model": MODEL, "files": {"m.gguf": digest}, "stream": False}).encode()
    for path, data in ((f"/api/blobs/{digest}", content), ("/api/create", created)):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}{path}", data, timeout=10).close()


class Process:
    """A program that is started again whenever it was killed."""

    def __init__(self, command: Sequence[str], log: Path, url: str) -> None:
        self.command = list(command)
        self.url = url
        self.killed = 0
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and returns when its port is open."""
        with self._log.open("ab") as log:
            environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=ROOT
            )
        port = int(self.url.rpartition(":")[2])
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.command} ended with {self._process.returncode}; see {self._log}")
            time.sleep(0.05)
        raise RuntimeError(f"{self.command} never listened")

    def kill(self) -> None:
        """kill -9, and a new start."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.killed += 1
        self.start()

    def end(self) -> int:
        """Asks it to end; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=PATIENCE)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
