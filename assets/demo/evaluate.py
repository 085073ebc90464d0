"""Measures a model on held-out requests: validity, entities asked for, validator score and each rule of the style.

python -m assets.demo.evaluate --model assets/demo/model --count 200
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assets.demo.corpus import Request, requests
from core.validate.mermaid.er import MermaidErValidator
from core.validate.validator import Validation

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

_ROWS = 50
_RULES = {
    "missing_pk": "primary key",
    "missing_fk": "foreign key",
    "naming": "snake_case",
    "duplicate_attribute": "no duplicates",
    "label": "label",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """Shares are in 0-1, scores in 0-100; `kept` is, for each rule, the share of answers that break it nowhere."""

    count: int
    valid: float
    recall: float
    score: float
    good: float
    kept: dict[str, float]

    def __str__(self) -> str:
        kept = ", ".join(f"{rule} {share:.0%}" for rule, share in self.kept.items())
        return (
            f"on {self.count}: valid {self.valid:.1%}, entities {self.recall:.1%}, score {self.score:.1f}, "
            f"80 and more {self.good:.1%}; kept: {kept}"
        )


def answer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: list[str], *, temperature: float = 0.0
) -> list[str]:
    """The model's answer to each prompt; temperature 0 is greedy."""
    import torch

    tokenizer.padding_side = "left"
    texts = [
        tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True)
        for prompt in prompts
    ]
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}
    model.eval()
    with torch.inference_mode():
        out = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=400,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **(sampling or {"do_sample": False}),
        )
    texts = tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return [str(text) for text in texts]


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    *,
    count: int,
    temperature: float = 0.0,
    seed: int = 1,
) -> Measured:
    """The figures of `model` on `count` held-out requests."""
    asked = requests(seed, count, split="held_out")
    answers: list[str] = []
    for start in range(0, count, _ROWS):
        prompts = [request.prompt for request in asked[start : start + _ROWS]]
        answers += answer(model, tokenizer, prompts, temperature=temperature)
    return summarize(asked, answers)


def summarize(asked: list[Request], answers: list[str]) -> Measured:
    """The figures of answers to requests, one answer each; a rule counts as kept only in a valid answer."""
    validator = MermaidErValidator()
    verdicts: list[Validation] = []
    missing = 0
    kept: Counter[str] = Counter()
    for request, text in zip(asked, answers, strict=True):
        verdict = validator.validate(text, prompt=request.prompt, expected={"entities": request.entities})
        kinds = Counter(finding.kind for finding in verdict.findings)
        missing += kinds["missing_entity"]
        kept.update(rule for kind, rule in _RULES.items() if verdict.valid and not kinds[kind])
        verdicts.append(verdict)
    count = len(verdicts)
    return Measured(
        count,
        valid=sum(verdict.valid for verdict in verdicts) / count,
        recall=1.0 - missing / sum(len(request.entities) for request in asked),
        score=sum(verdict.score for verdict in verdicts) / count,
        good=sum(verdict.score >= 80.0 for verdict in verdicts) / count,
        kept={rule: kept[rule] / count for rule in _RULES.values()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    import torch
    from transformers import LlamaForCausalLM

    from assets.demo.tokens import load_tokenizer

    model = LlamaForCausalLM.from_pretrained(given.model, dtype=torch.float32)
    tokenizer = load_tokenizer(given.model)
    torch.manual_seed(given.seed)
    for name, temperature in (("greedy", 0.0), ("temperature 0.3", 0.3)):
        print(name, measure(model, tokenizer, count=given.count, temperature=temperature, seed=given.seed), flush=True)


if __name__ == "__main__":
    main()
