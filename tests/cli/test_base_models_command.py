"""`models --bases` and `models --download`: which base models there are, and making one ready."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Run

from assets import ASSETS
from core.paths import Home


@pytest.fixture(autouse=True)
def no_ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))


def test_the_list(run: Run, home: Home) -> None:
    shutil.copytree(ASSETS / "demo" / "model", home.models / "base" / "mine")
    listed = run("models", "--bases", "--json").json
    by_name = {one["name"]: one for one in listed}
    assert by_name["demo"]["place"] == "here"
    assert by_name["llama-3-8b"]["place"] == "not here"
    assert by_name[str(home.models / "base" / "mine")]["title"] == "mine"
    shown = run("models", "--bases").out
    assert "meta-llama/Meta-Llama-3-8B-Instruct" in shown
    assert "needs" in shown


def test_a_download_is_refused_where_it_is_switched_off(run: Run) -> None:
    refused = run("models", "--download", "qwen3-4b")
    assert refused.code == 1
    assert "HF_HUB_OFFLINE is set" in refused.err


def test_a_download(run: Run, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot(**wanted: Any) -> None:
        shutil.copytree(ASSETS / "demo" / "model", wanted["local_dir"])

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE")
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    done = run("models", "--download", "some/model", "--json").json
    assert done == {"name": "model", "title": "some/model", "path": str(home.models / "base" / "model")}
    assert "is ready" in run("models", "--download", "qwen3-4b").out


def test_a_model_that_ollama_does_not_hold(run: Run) -> None:
    refused = run("models", "--download", "ollama:llama3.2:3b")
    assert refused.code == 1
    assert "ollama pull llama3.2:3b" in refused.err


@pytest.mark.parametrize(
    "more", [["--bases", "--download", "x"], ["--bases", "v1"], ["--download", "x", "--category", "erd"]]
)
def test_one_thing_at_a_time(run: Run, more: list[str]) -> None:
    assert run("models", *more).code == 2
