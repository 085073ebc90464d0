"""What both sides learn: base models and examples, the same for each of them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from storage.rows import DatasetItem

DEMO: Final = Path(__file__).parents[2] / "assets" / "demo"
# Sizes of config.json by name. `large` is as large as two cores can train in minutes; the other two are the
# architectures of Llama 2 7B and Llama 3.1 8B.
SHAPES: Final[Mapping[str, Mapping[str, int]]] = {
    "large": {
        "hidden_size": 512,
        "intermediate_size": 1408,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "vocab_size": 32_000,
    },
    "7b": {
        "hidden_size": 4_096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 32_016,
    },
    "8b": {
        "hidden_size": 4_096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
    },
}
SHORTEST, LONGEST = 40, 480  # tokens of a made example
_MIDDLE, _SPREAD = 4.9, 0.6  # of the logarithm of its length: the median is 134 tokens
_ROOM: Final = 24 << 30  # bytes of a GPU on which 8 billion weights in 16 bits can be made


@dataclass(frozen=True, slots=True)
class Job:
    """What one side trains: a model folder, items, and how. `variant` names settings of TRL, "ours" this project."""

    variant: str
    method: str
    base: str
    items: tuple[Mapping[str, Any], ...]
    tokens: int  # real tokens of one pass over the items, as the chat template writes them
    folder: str
    batch: int = 8
    accumulation: int = 1
    max_length: int = 512
    passes: int = 4  # over all items; the first is not measured
    settings: Mapping[str, Any] | None = None  # of `TrainSettings`, beside those above

    def dataset(self) -> list[DatasetItem]:
        """The items as a run of this project gets them."""
        return [
            DatasetItem(at, at, "train", one["prompt"], one["target"], "", 1.0, 0.1, "easy", **_judgement(one))
            for at, one in enumerate(self.items)
        ]


def _judgement(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"rejected": item["rejected"], "desirable": item["desirable"]}


def seed_items(count: int) -> list[dict[str, Any]]:
    """The first answers of the shipped feedback; what is rejected is the answer to another prompt."""
    lines = (DEMO / "seed_feedback.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if "response" in row]
    return [
        {
            "prompt": row["prompt"],
            "target": row["response"],
            "rejected": rows[(at + 1) % len(rows)]["response"],
            "desirable": at % 2 == 0,
        }
        for at, row in enumerate(rows[:count])
    ]


def made_items(count: int, *, seed: int = 0, exactly: int | None = None) -> list[dict[str, Any]]:
    """Examples of log-normal length, from 40 to 480 tokens, or of `exactly` so many; a third of each is the prompt."""
    chance = random.Random(seed)
    items = []
    for number in range(count):
        length = exactly or round(min(LONGEST, max(SHORTEST, chance.lognormvariate(_MIDDLE, _SPREAD))))
        other = round(length * chance.uniform(0.5, 0.9))
        prompt = length // 3
        items.append(
            {
                "prompt": _text(prompt, chance),
                "target": _text(length - prompt, chance),
                "rejected": _text(max(8, other - prompt), chance),
                "desirable": number % 2 == 0,
            }
        )
    return items


def _text(tokens: int, chance: random.Random) -> str:
    """Words that the demonstration model's tokenizer knows whole."""
    return " ".join(chance.choices(_words(), k=max(1, tokens)))


@cache
def _words() -> tuple[str, ...]:
    vocabulary = json.loads((DEMO / "model" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    found = (word[1:] for word in vocabulary if word.startswith("Ġ") and word[1:].isascii() and word[1:].isalpha())
    return tuple(sorted(found))


def model_folder(name: str, place: Path) -> Path:
    """The folder of a model: the shipped one ("demo"), or a Llama of this shape with random weights in bfloat16."""
    if name == "demo":
        return DEMO / "model"
    folder = place / name
    if (folder / "config.json").exists():
        return folder
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    roomy = torch.cuda.is_available() and torch.cuda.get_device_properties(0).total_memory > _ROOM
    device = "cuda" if roomy else "cpu"
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(
                LlamaConfig(**SHAPES[name], tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)
            )
    finally:
        torch.set_default_dtype(before)
    folder.mkdir(parents=True)
    model.save_pretrained(folder, max_shard_size="4GB")
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DEMO / "model" / file, folder / file)
    return folder


def count_tokens(base: Path, items: Iterable[Mapping[str, Any]], method: str, max_length: int) -> int:
    """Real tokens of one pass: of pairs both conversations, each with its prompt, of thumbs the mismatched one too."""
    from core.train.data import Encoder
    from core.train.loading import load_tokenizer

    job = Job("ours", method, str(base), tuple(items), 0, "")
    encoded = Encoder(load_tokenizer(base), max_length).encode_items(job.dataset(), method)  # type: ignore[arg-type]
    if len(encoded.lessons) != len(job.items):
        raise SystemExit(f"{len(job.items) - len(encoded.lessons)} examples cannot be learned from: {encoded.counts}")
    return sum(lesson.tokens for lesson in encoded.lessons)
