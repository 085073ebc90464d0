"""Training on a model that there is only as a GGUF file: the whole loop, and the same file found in Ollama's store."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_kit import QUICK, ROOT, cli, end_runs, ended, fill, start, until

sys.path.insert(0, str(ROOT / "tests" / "core" / "backends"))

from ollama_holding import add_model

from core.loop import LearningLoop
from core.paths import Home
from core.release.files import version_problem
from core.release.gguf import export_gguf
from storage.rows import RunRow

pytestmark = pytest.mark.process
SHIPPED = ROOT / "assets" / "demo" / "model"
SETTINGS = f"""{QUICK.replace("epochs = 2", "epochs = 1")}
score_prompts = 2
[select]
embeddings = "none"
max_retests = 0
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = fill(tmp_path_factory.mktemp("gguf") / "home", SETTINGS, count=30)
    try:
        yield made
    finally:
        end_runs(made)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The shipped model as somebody may have downloaded it, and as Ollama may hold it."""
    place = tmp_path_factory.mktemp("downloads")
    return (
        export_gguf(SHIPPED, place / "Tiny-Model.gguf", name="Tiny Model").path,
        export_gguf(SHIPPED, place / "held.gguf", name="tiny").path,
    )


def adapter(home: Home, run: RunRow) -> bytes:
    return (home.resolve(run.folder) / "adapter" / "adapter_model.safetensors").read_bytes()


def test_a_model_that_is_only_a_gguf_file_goes_through_the_loop(home: Home, files: tuple[Path, Path]) -> None:
    before = files[0].read_bytes()
    run = until(home, start(home, "--base", str(files[0])), ended)
    assert run.status == "finished" and run.version_id is not None, run.error
    with LearningLoop(home) as loop:
        version = loop.version(run.version_id)
        base = loop.version(version.parent_id or 0)
        test = loop.latest_test(version.id)
        assert version_problem(home, version) is None and version_problem(home, base) is None
    assert version.proved and base.proved and base.number == 0
    assert version.base_model == "tiny-model-gguf"
    # Both have answered the held-out prompts by llama.cpp.
    assert test is not None and version.metrics["n"] == base.metrics["n"] == test["n"] > 0
    assert base.metrics["mean_score"] > 20 and version.metrics["eval_loss"] < version.metrics["base_eval_loss"]
    source = json.loads((home.models / "base" / version.base_model / "source.json").read_text(encoding="utf-8"))
    assert source["path"] == str(files[0]) and all(check["passed"] for check in source["proof"])
    assert files[0].read_bytes() == before


def test_a_model_that_ollama_holds_is_trained_in_the_same_way(
    home: Home, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    blob = add_model(
        tmp_path / "ollama", "tiny:1b", layers={"model": files[1].read_bytes(), "template": b"{{ .Prompt }}"}
    )
    refused = cli(home.root, "train", "erd", "--base", "ollama:tiny:2b", "--json")
    assert refused.returncode == 1 and "ollama pull tiny:2b" in json.loads(refused.stdout)["error"]["hint"]

    run_id = start(home, "--base", "ollama:tiny:1b")
    blob.unlink()  # what was made of it stays
    run = until(home, run_id, ended)
    assert run.status == "finished" and run.version_id is not None, run.error
    with LearningLoop(home) as loop:
        version = loop.version(run.version_id)
    assert version.proved and version.base_model == "tiny-1b-gguf" and Path(run.base_model).name == "tiny-1b-gguf"
    assert version.number >= 1 and version.metrics["n"] > 0
    # Weights of 16 bits are those of the shipped folder.
    plain = until(
        home,
        start(home, "--base", str(SHIPPED)),
        lambda row: row.status != "queued" and (home.resolve(row.folder) / "adapter").exists(),
    )
    assert adapter(home, plain) == adapter(home, run)
