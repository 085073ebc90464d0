"""Feedback made from the shipped seed, as many rows as asked, no two alike: what the capture benchmarks read."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SEED_FILE = Path(__file__).parents[1] / "assets" / "demo" / "seed_feedback.jsonl"


def rows(count: int, category: str, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows as `finetune-tui record` takes them: an ER diagram each, about 550 characters, names drawn anew."""
    draw = random.Random(seed)
    seeds = [row for row in map(json.loads, SEED_FILE.read_text(encoding="utf-8").splitlines()) if "response" in row]
    for number in range(count):
        row = draw.choice(seeds)
        word = f"w{draw.randrange(16**8):08x}"
        yield {
            "prompt": f"{row['prompt']} Call the tool {word} and think of {draw.randrange(10**6)} users.",
            "response": row["response"].replace("name", f"name_{word}").replace("id PK", f'id PK "{word}"'),
            "category": category,
            "model": "demo",
            "created_at": 1_700_000_000.0 + number,
        }


def write(path: Path, count: int, category: str, seed: int = 0) -> int:
    """Writes JSONL; the size in bytes."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows(count, category, seed):
            file.write(json.dumps(row) + "\n")
    return path.stat().st_size
