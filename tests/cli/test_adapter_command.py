"""`models NAME --adapter FILE`: a trained version's adapter as a file of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli_kit import Run
from versions_kit import add_version

from core.backends.llamacpp import LlamaCppBackend
from core.config import Config
from core.errors import CategoryError
from core.loop import LearningLoop
from core.paths import Home, sha256_of
from core.release.adapter_export import export_version_adapter
from core.release.export import Export
from core.release.quantize import GgufFile
from core.release.registry import Origin, register, staging, version_name
from core.training import adapter_of
from storage.db import Store
from storage.rows import VersionRow

DEMO = Path(__file__).parents[2] / "assets" / "demo" / "model"


def make_adapter(folder: Path, **settings: object) -> None:
    """A random adapter of the shipped model."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(DEMO, dtype=torch.float32)
    lora = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", **settings)
    adapted = get_peft_model(model, lora)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data += torch.randn_like(parameter) * 0.02
    adapted.save_pretrained(folder)


def add_base(store: Store, home: Home) -> VersionRow:
    """Version 0 with a real file of the shipped model."""
    from core.release.gguf import export_gguf

    name = version_name("ft", "demo", "erd", 0)
    with staging(home, "demo", "erd") as staged:
        file = export_gguf(DEMO, staged / f"{name}.f16.gguf", name=name)
        check = {"name": "f16: stops", "kind": "f16", "passed": True, "figure": 1.0, "bound": 1.0, "detail": ""}
        export = Export((GgufFile(file.path, file.sha256, file.bytes, "f16"),), (check,))
        return register(store, home, Config(), Origin("erd", "demo", ""), staged=staged, export=export, number=0)


@pytest.mark.process
def test_is_written_and_proved(run: Run, store: Store, home: Home, tmp_path: Path) -> None:
    add_base(store, home)
    version = add_version(store, home)
    make_adapter(adapter_of(home, version).parent)
    with LearningLoop(home) as loop:
        for number in range(12):
            loop.record_feedback(f"Draw an ER diagram of {number} shops and their orders.", "x", "erd", "m", score=60)
    target = tmp_path / "out" / "erd.gguf"
    done = run("models", version.name, "--adapter", str(target), "--json")
    assert done.code == 0, done.out + done.err
    assert done.json["file"]["sha256"] == sha256_of(target)
    assert done.json["base_file"].endswith("v0/ft-demo-erd-v0.f16.gguf")
    assert {check["name"] for check in done.json["checks"]} >= {"file is whole", "loads", "logits: mean KL", "stops"}
    assert all(check["passed"] for check in done.json["checks"])
    # what is there is not written over
    again = run("models", version.name, "--adapter", str(target), "--json")
    assert again.code != 0
    assert "there already" in again.error["message"]
    # people are told what to do with it
    told = run("models", version.name, "--adapter", str(tmp_path / "b.gguf"))
    assert told.code == 0
    assert "llama-server -m " in told.out
    # nothing is left that was not proved
    with LlamaCppBackend() as backend, pytest.raises(CategoryError, match="erd"):
        export_version_adapter(
            store, home, version, tmp_path / "d.gguf", config=Config(), categories={}, backend=backend
        )
    assert not (tmp_path / "d.gguf").exists()
    # an adapter that cannot be one file says why, and leaves none
    shutil.rmtree(adapter_of(home, version).parent)
    make_adapter(adapter_of(home, version).parent, use_dora=True)
    refused = run("models", version.name, "--adapter", str(tmp_path / "c.gguf"), "--json")
    assert "DoRA" in refused.error["message"]
    assert not (tmp_path / "c.gguf").exists()


def test_what_has_no_adapter(run: Run, store: Store, home: Home, tmp_path: Path) -> None:
    version = add_version(store, home, 1)
    target = tmp_path / "x.gguf"

    def refused(name: str) -> str:
        said = run("models", name, "--adapter", str(target), "--json")
        assert said.code != 0
        assert not target.exists()
        return said.error["message"]

    assert "has no adapter" in refused(version.name)
    adapter_of(home, version).parent.mkdir()
    adapter_of(home, version).write_bytes(b"x")
    assert "no GGUF file of the base model demo" in refused(version.name)
    assert "has no adapter" in refused(add_version(store, home, 0).name)
    assert "adapter_config.json" in refused(version.name)


@pytest.mark.parametrize("others", [(), ("--bases",), ("--clean-up",), ("--download", "demo")])
def test_it_needs_a_version_and_nothing_else(run: Run, others: tuple[str, ...], tmp_path: Path) -> None:
    assert "--adapter needs the NAME" in run("models", "--adapter", str(tmp_path / "x.gguf"), *others).err
