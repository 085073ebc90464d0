"""The untouched base: exported and proved once, shared between categories, mended when damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.backends.backend import Message
from core.backends.llamacpp import LlamaCppBackend
from core.config import Config
from core.errors import ModelError
from core.paths import Home
from core.release.base_version import base_version, fingerprint
from core.release.files import gguf_path, version_problem
from core.train.presets import BaseModel
from storage import versions
from storage.db import Store
from storage.rows import VersionRow

PROMPTS = [[Message("user", "Draw customers and orders.")], [Message("user", "Draw a library.")]]


def make(store: Store, home: Home, backend: LlamaCppBackend, folder: Path, category: str = "erd") -> VersionRow:
    return base_version(
        store,
        home,
        category,
        BaseModel("tiny", "Tiny", folder),
        Config(),
        system_prompt="",
        kinds=("q8_0",),
        prompts=PROMPTS,
        backend=backend,
    )


@pytest.mark.process
def test_a_base_is_made_once_shared_and_mended(
    store: Store, home: Home, backend: LlamaCppBackend, trained: Path, tmp_path: Path
) -> None:
    first = make(store, home, backend, trained)
    assert (first.name, first.number, first.proved, first.parent_id) == ("ft-tiny-erd-v0", 0, True, None)
    assert set(first.gguf) == {"q8_0"}
    assert version_problem(home, first) is None
    written = gguf_path(home, first, "q8_0").stat()
    assert make(store, home, backend, trained) == first
    assert gguf_path(home, first, "q8_0").stat().st_mtime_ns == written.st_mtime_ns

    other = make(store, home, backend, trained, "workflows")
    assert other.name == "ft-tiny-workflows-v0" and other.proved
    assert gguf_path(home, other, "q8_0").stat().st_ino == written.st_ino

    gguf_path(home, first, "q8_0").unlink()
    mended = make(store, home, backend, trained)
    assert mended.id == first.id
    assert version_problem(home, mended) is None
    assert len(versions.list_versions(store)) == 2

    changed = tmp_path / "tiny"
    shutil.copytree(trained, changed)
    weights = changed / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert fingerprint(changed) != fingerprint(trained)
    with pytest.raises(ModelError, match="same name"):
        make(store, home, backend, changed)
