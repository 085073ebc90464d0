"""Precision, recall and cost of sanitising: `python -m benchmarks.sanitize [--repeat 7]`.

A replaced stretch of text counts as right when its start, its end and its kind are those of a label in
`tests/core/capture/pii_corpus.jsonl`; a third of that corpus was held out while the rules were written.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import timeit
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.record import append, spread
from core.capture.sanitize import Seen, sanitize

CORPUS: Final = Path(__file__).parent.parent / "tests" / "core" / "capture" / "pii_corpus.jsonl"
PLACEHOLDER: Final = re.compile(r"\[((?:[A-Z]+)(?:_KEY)?)_([0-9]{1,6})\]")
DIAGRAM: Final = (
    "erDiagram\n    CUSTOMER ||--o{ ORDER : places\n    CUSTOMER {\n        int id PK\n        string name\n"
    "        string email UK\n        varchar(20) phone\n        timestamp created_at\n    }\n"
    "    ORDER ||--|{ LINE_ITEM : contains\n    ORDER {\n        int id PK\n        int customer_id FK\n"
    "        decimal(10,2) total\n        date ordered_on\n        string status\n    }\n    LINE_ITEM {\n"
    "        int order_id FK\n        int product_id FK\n        int quantity\n        decimal(10,2) price\n    }\n"
    "    PRODUCT ||--o{ LINE_ITEM : is_in\n    PRODUCT {\n        int id PK\n        string title\n"
    "        string sku UK\n    }\n"
)
PROSE: Final = (
    "The diagram keeps customers and their orders apart, which is right, but the invoice hangs on the customer "
    "only. Move it to the order, because one order may be billed in two parts, and let each line item carry the "
    "price at which it was sold. A product may then change its price without changing the past. Addresses are "
    "better off in a table of their own; most shops need at least two for each customer. The names are consistent "
    "and in the singular, as the guide asks, and every relationship has a label that reads well in both "
    "directions. Nothing else would have to change here."
)
PERSONAL: Final = (
    PROSE[:450] + " Ask jane.doe@example.org (+49 170 1234567) about it, or see http://192.168.1.17/ with @jane_doe."
)


def replaced_spans(text: str) -> set[tuple[int, int, str]]:
    """(start, end, kind) of every stretch that sanitising replaced, found by fitting the result over the text."""
    seen: Seen = {}
    clean, _ = sanitize(text, seen=seen)
    parts = PLACEHOLDER.split(clean)
    fitted = re.escape(parts[0])
    for kind, number, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        own = re.escape(f"[{kind}_{number}]")
        fitted += f"(?:{own}|(.+?)){re.escape(literal)}"
    match = re.fullmatch(fitted, text, re.S)
    assert match is not None, clean
    return {
        (*match.span(index), kind.lower())
        for index, kind in enumerate(parts[1::3], 1)
        if match.group(index) is not None
    }


def measure(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Precision and recall (0-1) by kind and of all kinds together, with the counts behind them."""
    right: dict[str, int] = defaultdict(int)
    extra: dict[str, int] = defaultdict(int)
    missed: dict[str, int] = defaultdict(int)
    for row in rows:
        wanted = {(start, end, kind) for start, end, kind in row["spans"]}
        got = replaced_spans(row["text"])
        for counts, spans in ((right, wanted & got), (extra, got - wanted), (missed, wanted - got)):
            for _, _, kind in spans:
                counts[kind] += 1
                counts["all"] += 1
    return {
        kind: {
            "precision": round(right[kind] / max(1, right[kind] + extra[kind]), 4),
            "recall": round(right[kind] / max(1, right[kind] + missed[kind]), 4),
            "right": right[kind],
            "extra": extra[kind],
            "missed": missed[kind],
        }
        for kind in sorted({*right, *extra, *missed})
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7)
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
    quality: dict[str, Any] = {"whole": measure(rows)}
    for name in ("tuning", "held_out"):
        quality[name] = measure([row for row in rows if row["set"] == name])["all"]
    for name, figures in (("whole", quality["whole"]["all"]), *((n, quality[n]) for n in ("tuning", "held_out"))):
        print(f"{name:>9}: precision {figures['precision']:.4f}, recall {figures['recall']:.4f}")
    cost: dict[str, Any] = {}
    for name, text in (("diagram", DIAGRAM), ("prose", PROSE), ("personal", PERSONAL)):
        sanitize(text)
        runs = timeit.repeat(partial(sanitize, text), number=500, repeat=arguments.repeat)
        cost[name] = {"chars": len(text), "us": spread([run / 500 * 1e6 for run in runs])}
        print(f"{name:>9}: {cost[name]['us']['median']:.1f} µs for {len(text)} characters")
    megabyte = "".join(row["text"] + "\n" for row in rows)
    megabyte = (megabyte * (1_000_000 // len(megabyte) + 1))[:1_000_000]
    started = time.perf_counter()
    sanitize(megabyte)
    cost["megabyte_of_corpus_s"] = time.perf_counter() - started
    print(f"one megabyte of the corpus: {cost['megabyte_of_corpus_s']:.2f} s")
    append("sanitize", "python -m benchmarks.sanitize", {"quality": quality, "cost": cost}, packages=("phonenumbers",))


if __name__ == "__main__":
    main()
