"""What gets imported when: import-linter checks the static rules, only `sys.modules` tells of deferred imports."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch",
    "transformers",
    "peft",
    "llama_cpp",
    "gguf",
    "optuna",
    "sqlalchemy",
    "scipy",
    "sacrebleu",
    "sentence_transformers",
    "sklearn",
    "tokenizers",
}


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    ["import tui.app", "import tui.__main__", "import core.loop", "import core.train.launch, core.train.memory"],
)
def test_the_front_ends_import_no_heavy_package(code: str) -> None:
    assert not modules_after(code) & HEAVY


@pytest.mark.parametrize("code", ["import core.loop", "import core.pipeline", "import storage.db"])
def test_nothing_below_the_terminal_imports_it(code: str) -> None:
    assert not modules_after(code) & {"textual", "rich", "click", "tui"}


def test_sqlite_connects_in_one_place() -> None:
    places = [
        path
        for folder in ("tui", "core", "storage", "assets", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "sqlite3.connect(" in path.read_text(encoding="utf-8")
    ]
    assert [path.relative_to(ROOT).as_posix() for path in places] == ["storage/db.py"]


def test_every_command_of_the_project_is_installed() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        scripts = tomllib.load(file)["project"]["scripts"]
    assert scripts == {"finetune-tui": "tui.start:main"}
