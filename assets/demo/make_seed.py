"""Make the seed feedback again: `python -m assets.demo.make_seed` (about two minutes on two cores).

The shipped model is exported to GGUF and really run, through the same embedded backend that serves it, on requests that
its pre-training never saw. A simulated reviewer then does what a person would in the first days: thumbs up for the good
ones, thumbs down for the worst, a corrected diagram for many of the rest, a choice between two answers now and then.
What is stored is what a person would have typed; scores are not, since loading validates every answer anew.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assets.demo import corpus
from core.backends.backend import Generation, Message, Sampling
from core.backends.llamacpp import LlamaCppBackend
from core.paths import write_whole
from core.release.gguf import export_gguf
from core.validate.mermaid.er import MermaidErValidator

HERE = Path(__file__).parent
TARGET = HERE / "seed_feedback.jsonl"
MODEL = HERE / "model"
SPAN_S = 4 * 86_400
"""The feedback looks as if it had come in over the last four days."""

# What the simulated reviewer does with an answer: the share of each kind that gets a reaction at all.
PRAISED, BLAMED, CORRECTED, RANKED = 0.6, 0.35, 0.5, 0.12


def main() -> None:
    """Generate, review and write; the same seed gives the same requests and the same reactions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=720, help="distinct prompts (default: 720)")
    parser.add_argument("--seed", type=int, default=7, help="seed of requests, sampling and reactions (default: 7)")
    parser.add_argument("--system", default="", help="system prompt given with every request")
    arguments = parser.parse_args()
    requests = corpus.requests(arguments.seed, arguments.events, split="feedback")
    with tempfile.TemporaryDirectory() as folder:
        gguf = Path(folder) / "demo-f16.gguf"
        export_gguf(MODEL, gguf, kind="f16")
        with LlamaCppBackend() as backend:
            rows = list(feedback(backend, str(gguf), requests, seed=arguments.seed, system=arguments.system))
    write_whole(TARGET, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print(f"{len(rows)} rows, {TARGET.stat().st_size / 1e6:.2f} MB: {TARGET}")


def feedback(
    backend: LlamaCppBackend, model: str, requests: list[corpus.Request], *, seed: int, system: str
) -> Iterator[dict[str, Any]]:
    """One row for each answer, oldest first; a ranked prompt gives a second answer and a row for the choice."""
    rng = random.Random(seed)
    validator = MermaidErValidator()
    ages = sorted((rng.uniform(0, SPAN_S) for _ in requests), reverse=True)
    for number, (request, age) in enumerate(zip(requests, ages, strict=True)):
        expected = {"entities": list(request.entities)}
        answers = [_ask(backend, model, request, system, temperature=0.3, seed=seed + number)]
        if rng.random() < RANKED:
            answers.append(_ask(backend, model, request, system, temperature=0.9, seed=seed + number))
        scores = [validator.validate(answer.text, expected=expected).score for answer in answers]
        row: dict[str, Any] = {
            "prompt": request.prompt,
            "response": answers[0].text,
            "expected": expected,
            "age_s": round(age),
            "latency_ms": round(answers[0].seconds * 1000, 1),
            **_react(rng, request, answers[0].text, scores[0]),
        }
        yield row
        if len(answers) == 2 and abs(scores[0] - scores[1]) >= 5:
            better, worse = (0, 1) if scores[0] > scores[1] else (1, 0)
            yield {
                "ranking": {
                    "prompt": request.prompt,
                    "chosen": answers[better].text,
                    "rejected": answers[worse].text,
                    "margin": round(abs(scores[0] - scores[1]) / 100, 4),
                },
                "age_s": round(age),
            }


def _ask(
    backend: LlamaCppBackend, model: str, request: corpus.Request, system: str, *, temperature: float, seed: int
) -> Generation:
    messages = [Message("system", system)] if system else []
    messages.append(Message("user", request.prompt))
    return backend.generate(model, messages, Sampling(temperature=temperature, max_tokens=512, seed=seed))


def _react(rng: random.Random, request: corpus.Request, answer: str, score: float) -> dict[str, Any]:
    """What the reviewer did: praise from 85 points, a correction or blame below, or nothing at all."""
    roll, seconds = rng.random(), round(rng.lognormvariate(1.4, 0.5), 1)
    if score >= 85:
        return {"verdict": "good", "seconds": seconds} if roll < PRAISED else {}
    if roll < CORRECTED:
        return {"verdict": "correct", "correction": corpus.correct(request, answer), "seconds": seconds * 4}
    if score < 50 and roll < CORRECTED + BLAMED:
        return {"verdict": "bad", "seconds": seconds}
    return {}


if __name__ == "__main__":
    main()
