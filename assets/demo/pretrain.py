"""Pre-trains the demonstration model from scratch, on the CPU or a GPU.

    python -m assets.demo.pretrain --work /var/tmp/demo-model --out assets/demo/model

`--work` holds the tokenizer and the newest checkpoint, from which a run that was cut off goes on; it lies outside the
repository. `--out` receives the model whenever one is saved. Two CPU cores need about half an hour.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from assets.demo.corpus import examples
from assets.demo.evaluate import measure
from assets.demo.muon import Muon
from assets.demo.tokens import ASSISTANT, BOS, END, SYSTEM, USER, load_tokenizer, train_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 2048
TOKENIZER_EXAMPLES = 30_000
COPY_TOKENS = 32
POOL = 2_048
PROMPT_WEIGHT = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of a run; `batch_tokens` counts the padded tokens of one step."""

    steps: int
    batch_tokens: int
    copy_steps: int
    warmup: int
    matrix_rate: float
    other_rate: float
    seed: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids and the weight of each token as a target, both of shape (rows, length)."""

    ids: torch.Tensor
    weights: torch.Tensor


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A fresh Llama of about 3 M parameters; all widths are multiples of 256, as k-quants need."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.03,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def batches(tokenizer: PreTrainedTokenizerFast, plan: Plan, start: int) -> Iterator[Batch]:
    """Batches from step `start` on: rows of like length, and at first also rows that only copy."""
    stream = examples(plan.seed + start)
    rng = random.Random(plan.seed + start)
    ready: list[list[tuple[list[int], int]]] = []
    step = start
    while True:
        if rng.random() < 0.5 * max(0.0, 1.0 - step / plan.copy_steps):
            yield _copy_batch(plan, len(tokenizer))
        else:
            if not ready:
                ready = _buckets(tokenizer, list(islice(stream, POOL)), plan.batch_tokens)
                rng.shuffle(ready)
            yield _collate(ready.pop())
        step += 1


def _buckets(
    tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str, str]], batch_tokens: int
) -> list[list[tuple[list[int], int]]]:
    heads = [(SYSTEM + system + END if system else "") + USER + prompt + END + ASSISTANT for system, prompt, _ in texts]
    prompts = tokenizer([BOS + head for head in heads], add_special_tokens=False)["input_ids"]
    answers = tokenizer([diagram + END for _, _, diagram in texts], add_special_tokens=False)["input_ids"]
    rows = sorted(
        ((prompt + answer, len(prompt)) for prompt, answer in zip(prompts, answers, strict=True)),
        key=lambda row: len(row[0]),
    )
    buckets: list[list[tuple[list[int], int]]] = [[]]
    for row in rows:
        if (len(buckets[-1]) + 1) * len(row[0]) > batch_tokens:
            buckets.append([])
        buckets[-1].append(row)
    return buckets


def _collate(rows: list[tuple[list[int], int]]) -> Batch:
    length = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    for index, (row, prompt) in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        weights[index, :prompt] = PROMPT_WEIGHT
        weights[index, prompt : len(row)] = 1.0
    return Batch(ids, weights)


def _copy_batch(plan: Plan, vocabulary: int) -> Batch:
    """Random tokens, then the same once more: only attending to what followed the last time helps here."""
    half = torch.randint(6, vocabulary, (plan.batch_tokens // (2 * COPY_TOKENS), COPY_TOKENS))
    weights = torch.zeros(half.shape[0], 2 * COPY_TOKENS)
    weights[:, COPY_TOKENS + 1 :] = 1.0
    return Batch(torch.cat([half, half], dim=1), weights)


def loss_of(model: Callable[..., Any], batch: Batch) -> torch.Tensor:
    """The weighted mean cross-entropy of each next token, in nats."""
    logits = model(batch.ids, use_cache=False).logits[:, :-1].float()
    losses = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), batch.ids[:, 1:].reshape(-1), reduction="none"
    )
    weights = batch.weights[:, 1:].reshape(-1)
    return (losses * weights).sum() / weights.sum()


def rate_at(step: int, plan: Plan) -> float:
    """The share of the peak learning rate: linear warm-up, then a cosine down to 2 %."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    done = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def optimizers(model: torch.nn.Module, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the embeddings and the norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    adam = torch.optim.AdamW(others, lr=plan.other_rate, betas=(0.9, 0.98), weight_decay=0.0)
    return [Muon(matrices, lr=plan.matrix_rate), adam]


def prepare_tokenizer(work: Path, seed: int) -> PreTrainedTokenizerFast:
    """The tokenizer in `work`, trained there first if need be."""
    folder = work / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        texts = (text for example in islice(examples(seed), TOKENIZER_EXAMPLES) for text in example)
        train_tokenizer(texts, VOCABULARY).save_pretrained(folder)
    return load_tokenizer(folder)


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the model to `out` in half precision, with its tokenizer and its generation settings."""
    from transformers import GenerationConfig, LlamaForCausalLM

    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=400,
        do_sample=False,
    )
    copy.half().save_pretrained(out)
    tokenizer.save_pretrained(out)


def train(plan: Plan, work: Path, out: Path, *, save_every: int, measure_every: int) -> None:
    """Run the plan from the newest checkpoint in `work` to its end, saving and measuring on the way."""
    torch.manual_seed(plan.seed)
    tokenizer = prepare_tokenizer(work, plan.seed)
    model = build_model(tokenizer)
    engines = optimizers(model, plan)
    checkpoint = work / "checkpoint.pt"
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        start = state["step"]
        model.load_state_dict(state["model"])
        for engine, saved in zip(engines, state["optimizers"], strict=True):
            engine.load_state_dict(saved)
    print(f"{model.num_parameters():,} parameters, from step {start}", flush=True)
    compiled = torch.compile(model, dynamic=True)
    began, seen, recent = time.monotonic(), 0, 0.0
    for step, batch in enumerate(islice(batches(tokenizer, plan, start), plan.steps - start), start=start + 1):
        for engine in engines:
            for group in engine.param_groups:
                group.setdefault("peak", group["lr"])
                group["lr"] = group["peak"] * rate_at(step, plan)
        loss = loss_of(compiled, batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for engine in engines:
            engine.step()
            engine.zero_grad(set_to_none=True)
        seen += batch.ids.numel()
        recent = loss.item() if not recent else 0.95 * recent + 0.05 * loss.item()
        if step % 50 == 0:
            speed = seen / (time.monotonic() - began)
            print(f"step {step} loss {recent:.4f} {speed:,.0f} tokens/s {seen:,} tokens", flush=True)
        if step % save_every == 0 or step == plan.steps:
            _save(checkpoint, step, model, engines)
        if step % measure_every == 0 or step == plan.steps:
            print(f"step {step} {measure(model, tokenizer, count=60)}", flush=True)
            export(model, load_tokenizer(work / "tokenizer"), out)
            model.train()


def _save(path: Path, step: int, model: torch.nn.Module, engines: list[torch.optim.Optimizer]) -> None:
    part = path.with_suffix(".part")
    state = {"step": step, "model": model.state_dict(), "optimizers": [engine.state_dict() for engine in engines]}
    torch.save(state, part)
    part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3_600)
    parser.add_argument("--batch-tokens", type=int, default=3_072)
    parser.add_argument("--copy-steps", type=int, default=800)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--matrix-rate", type=float, default=0.02)
    parser.add_argument("--other-rate", type=float, default=0.004)
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--measure-every", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    plan = Plan(
        given.steps,
        given.batch_tokens,
        given.copy_steps,
        given.warmup,
        given.matrix_rate,
        given.other_rate,
        given.seed,
    )
    given.work.mkdir(parents=True, exist_ok=True)
    train(plan, given.work, given.out, save_every=given.save_every, measure_every=given.measure_every)


if __name__ == "__main__":
    main()
