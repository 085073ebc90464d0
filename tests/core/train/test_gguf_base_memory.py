"""A model is refused for want of memory only where one layer of it would not fit."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from core.errors import ModelError
from core.train import gguf_base_child
from core.train.gguf_base_child import memory_needed


def sizes(layers: int, hidden: int, feed_forward: int, vocabulary: int) -> dict[str, int]:
    found = {"token_embd.weight": vocabulary * hidden, "output.weight": vocabulary * hidden, "output_norm": hidden}
    for n in range(layers):
        found |= {f"blk.{n}.attn_{part}.weight": hidden * hidden for part in ("q", "k", "v", "output")}
        found |= {f"blk.{n}.ffn_{part}.weight": hidden * feed_forward for part in ("gate", "up", "down")}
    return found


def test_a_model_of_seven_billion_needs_few_gigabytes() -> None:
    llama, qwen = sizes(32, 4096, 11008, 32000), sizes(28, 3584, 18944, 152064)
    assert sum(llama.values()) > 6.7e9
    assert 2.5e9 < memory_needed(llama) < 3e9
    assert 4e9 < memory_needed(qwen) < 4.5e9  # its embedding is larger than a layer
    assert memory_needed(sizes(80, 4096, 11008, 32000)) == memory_needed(llama)


def test_too_little_memory_is_refused_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class Free:
        available = free = 1_000_000_000

    monkeypatch.setattr(psutil, "virtual_memory", Free)
    monkeypatch.setattr(psutil, "swap_memory", Free)
    gguf_base_child._require_memory(Path("model.gguf"), 2_000_000_000)
    with pytest.raises(ModelError, match="needs 3 GB of memory, and 2 GB are free"):
        gguf_base_child._require_memory(Path("model.gguf"), 3_000_000_000)
