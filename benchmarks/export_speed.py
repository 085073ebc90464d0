"""Our export against llama.cpp's own tools, side by side: `python -m benchmarks.export_speed --converter FOLDER`.

A random Llama checkpoint becomes a Q4_K_M file, by turns by this product and by llama.cpp's `convert_hf_to_gguf.py`
with the quantiser behind it; both in processes of their own, whose anonymous memory is watched together with their
children's. FOLDER is where the converter lies with its `conversion` and `gguf-py`, of the revision that the installed
llama-cpp-python was built of: its source package has them under `vendor/llama.cpp`, to be fetched so:

    pip download --no-binary :all: --no-deps llama-cpp-python==VERSION
    tar -xzf llama_cpp_python-VERSION.tar.gz -C FOLDER --strip-components=3 --wildcards \\
        '*/vendor/llama.cpp/convert_*' '*/vendor/llama.cpp/conversion/*' '*/vendor/llama.cpp/gguf-py/*'

Without it only our own side is measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.record import append, spread

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("llama-cpp-python", "gguf", "numpy", "torch", "transformers")
MOST_TIMES: Final = 1.2
MOST_BYTES: Final = 3_000_000_000
LOOK_SECONDS: Final = 0.02
# hidden, feed-forward, layers, heads, key-value heads, vocabulary
SIZES: Final[Mapping[str, tuple[int, ...]]] = {
    "tiny": (256, 512, 2, 4, 2, 4096),
    "1b": (2048, 5632, 22, 32, 4, 32_000),
    "7b": (4096, 11_008, 32, 32, 32, 32_000),
}


def build(folder: Path, shape: Sequence[int]) -> int:
    """A float16 Llama of this shape with random weights and the demonstration model's tokenizer; its parameters."""
    import math

    import numpy as np
    from transformers import LlamaConfig

    from core.release.families import FAMILIES
    from core.release.safetensors_writing import Outline, write_safetensors

    hidden, wide, layers, heads, key_value, words = shape
    config = LlamaConfig(
        architectures=["LlamaForCausalLM"],
        hidden_size=hidden,
        intermediate_size=wide,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value,
        vocab_size=words,
        eos_token_id=2,
    )
    config.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(ROOT / "assets" / "demo" / "model" / file, folder / file)
    slots = {slot.hf_name: slot.shape for slot in FAMILIES["LlamaForCausalLM"].slots(config.to_dict())}
    random = np.random.default_rng(0)

    def values(name: str) -> Any:
        drawn = random.standard_normal(slots[name], dtype=np.float32)
        return (drawn * np.float32(0.02) + np.float32(len(slots[name]) == 1)).astype(np.float16)

    write_safetensors(folder, [Outline(name, "F16", size) for name, size in slots.items()], values)
    return sum(math.prod(size) for size in slots.values())


def ours(model: Path, target: Path, kind: str) -> None:
    """In a fresh process: the export, with its hash and its wait for the disk."""
    from core.release.gguf import export_gguf

    export_gguf(model, target, kind=kind)


def theirs(converter: Path, model: Path, target: Path, kind: str) -> None:
    """In a fresh process: their converter to float16, then their quantiser."""
    import runpy
    import types

    sys.path[:0] = [str(converter), str(converter / "gguf-py")]
    from conversion import base  # type: ignore[import-not-found]

    # The converter asks for this package before it looks whether the model needs it.
    sys.modules["sentencepiece"] = types.ModuleType("sentencepiece")
    sys.modules["sentencepiece"].SentencePieceProcessor = object  # type: ignore[attr-defined]
    # It knows tokenizers by what they make of a text, and the demonstration model's is in no list of anybody's.
    base.TextModel.get_vocab_base_pre = lambda *_: "gpt-2"
    whole = target.with_suffix(".f16.gguf")
    sys.argv = ["convert_hf_to_gguf.py", str(model), "--outfile", str(whole), "--outtype", "f16"]
    runpy.run_path(str(converter / "convert_hf_to_gguf.py"), run_name="__main__")
    command = [sys.executable, "-m", "core.release.quantize_child", str(whole), str(target), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as child:  # it ends when its input does
        code = child.wait()
    if code or not target.is_file():
        raise SystemExit(f"the quantiser ended with code {code}")
    whole.unlink()


def measured(*arguments: str) -> tuple[float, int]:
    """Seconds and the most bytes of anonymous memory of a process of this module and its children."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        child = psutil.Popen(
            [sys.executable, "-m", "benchmarks.export_speed", *arguments], stdout=log, stderr=log, cwd=ROOT
        )
        most = 0
        while child.poll() is None:
            most = max(most, _anonymous(child))
            time.sleep(LOOK_SECONDS)
        seconds = time.perf_counter() - began
        if child.returncode:
            log.seek(0)
            raise SystemExit(f"{arguments[0]} failed:\n{log.read().decode(errors='replace')[-3000:]}")
    return seconds, most


def _anonymous(process: psutil.Process) -> int:
    """Bytes that cannot be dropped from memory and read again: pages of files are left out."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            for line in Path(f"/proc/{each.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1]) * 1024
    except (psutil.Error, OSError):  # it has just ended
        pass
    return total


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--converter", type=Path, metavar="FOLDER")
    parser.add_argument("--size", choices=SIZES, default="1b")
    parser.add_argument("--kind", default="q4_k_m")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, help="where the files go, some 3.5 bytes a parameter")
    parser.add_argument("--ours", nargs=3, metavar=("MODEL", "TARGET", "KIND"), help=argparse.SUPPRESS)
    parser.add_argument("--theirs", nargs=4, metavar=("CONVERTER", "MODEL", "TARGET", "KIND"), help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.ours:
        ours(Path(args.ours[0]), Path(args.ours[1]), args.ours[2])
        return
    if args.theirs:
        theirs(Path(args.theirs[0]), Path(args.theirs[1]), Path(args.theirs[2]), args.theirs[3])
        return
    with tempfile.TemporaryDirectory(prefix="bench-export-", dir=args.work) as name:
        result = compare(Path(name), args.size, args.kind, args.repeats, args.converter)
    print(json.dumps(result, indent=2))
    append("export_speed", f"python -m benchmarks.export_speed --size {args.size} --kind {args.kind}", result, PACKAGES)


def compare(folder: Path, size: str, kind: str, repeats: int, converter: Path | None) -> dict[str, Any]:
    """Both sides by turns on one checkpoint of this size."""
    model, target = folder / "model", folder / "made.gguf"
    model.mkdir()
    parameters = build(model, SIZES[size])
    sides: dict[str, tuple[str, ...]] = {"ours": ("--ours", str(model), str(target), kind)}
    if converter is not None:
        sides["theirs"] = ("--theirs", str(converter.resolve()), str(model), str(target), kind)
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    memory = dict.fromkeys(sides, 0)
    for turn in range(repeats):
        for side in sorted(sides, reverse=bool(turn % 2)):
            took, most = measured(*sides[side])
            seconds[side].append(took)
            memory[side] = max(memory[side], most)
            print(f"{side:7} {took:8.1f} s  {most / 1e6:8.0f} MB", flush=True)
            target.unlink()
    found: dict[str, Any] = {
        "size": size,
        "parameters": parameters,
        "kind": kind,
        "seconds": {side: spread(values) for side, values in seconds.items()},
        "anonymous_mb": {side: round(most / 1e6) for side, most in memory.items()},
        "memory_target_met": memory["ours"] <= MOST_BYTES,
    }
    if converter is not None:
        ratios = [mine / other for mine, other in zip(seconds["ours"], seconds["theirs"], strict=True)]
        found["time_ratio"] = spread(ratios)
        found["time_target_met"] = statistics.median(ratios) <= MOST_TIMES
    return found


if __name__ == "__main__":
    main()
