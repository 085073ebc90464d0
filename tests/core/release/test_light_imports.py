"""Releasing and serving may be imported by the terminal: heavy packages come in only where they run."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "peft", "llama_cpp", "gguf", "numpy", "jinja2", "psutil")


def test_no_heavy_package() -> None:
    modules = "core.backends.llamacpp, core.release.gguf, core.release.merge, core.release.proof, core.release.quantize"
    code = f"import {modules}, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
