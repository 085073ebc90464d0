"""One tiny model, made once for all tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from training_kit import Listener, build_model


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("base") / "tiny-llama")


@pytest.fixture(scope="session")
def tokenizer(base: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


@pytest.fixture
def listener() -> Listener:
    return Listener()
