"""Lessons in one row learn what each would learn alone, whatever the architecture, and none sees another."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from core.train import attention
from core.train.batches import collate
from core.train.data import Example, Lesson
from core.train.loss import answer_losses, check_output_layer

WORDS = 97
SIZES: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WINDOWED: dict[str, Any] = {
    **SIZES,
    "head_dim": 8,
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention"],
}
FAMILIES: dict[str, Callable[[Any], Any]] = {
    "llama": lambda t: t.LlamaConfig(**SIZES),
    "llama, tied, wide heads": lambda t: t.LlamaConfig(**SIZES, tie_word_embeddings=True, head_dim=16),
    "mistral": lambda t: t.MistralConfig(**SIZES, sliding_window=7),
    "qwen2": lambda t: t.Qwen2Config(**SIZES),
    "qwen3": lambda t: t.Qwen3Config(**SIZES, head_dim=12),
    "gemma2": lambda t: t.Gemma2Config(
        **WINDOWED, query_pre_attn_scalar=20, attn_logit_softcapping=0.7, final_logit_softcapping=1.5
    ),
    "gemma3": lambda t: t.Gemma3TextConfig(**WINDOWED, query_pre_attn_scalar=20),
    "phi3": lambda t: t.Phi3Config(**SIZES, sliding_window=7),
}


def made(family: str) -> tuple[Any, Any]:
    """A tiny random model as training loads it, and the same one as transformers runs it by itself."""
    import transformers

    attention.register()
    torch.manual_seed(11)
    # Each with a configuration of its own: it is there that a model looks up its attention.
    of = transformers.AutoModelForCausalLM.from_config
    plain = of(FAMILIES[family](transformers), attn_implementation="eager").float()
    for name, value in plain.named_parameters():
        # Norms that do nothing and logits that are all alike would hide mistakes.
        torch.nn.init.normal_(value, 0.5 if "norm" in name else 0.0, 0.3)
    packed = of(FAMILIES[family](transformers), attn_implementation=attention.NAME).float()
    packed.load_state_dict(plain.state_dict())
    assert (plain.config._attn_implementation, packed.config._attn_implementation) == ("eager", attention.NAME)
    return packed.eval(), plain.eval()


@pytest.fixture(scope="module", params=FAMILIES)
def models(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    return made(request.param)


def sequence(chance: random.Random, tokens: int, start: int) -> Example:
    return Example(tuple(chance.randrange(3, WORDS) for _ in range(tokens)), start)


def singles() -> list[Lesson]:
    chance = random.Random(5)
    return [Lesson((sequence(chance, tokens, start),)) for tokens, start in ((19, 6), (5, 4), (2, 1), (26, 9))]


def preferences() -> list[Lesson]:
    """Pairs that share a prompt and some of the answer, one that shares nothing, and one that parts at its end."""
    chance = random.Random(6)
    lessons = []
    for tokens, start, shared, other in ((15, 5, 9, 6), (9, 3, 0, 11), (12, 4, 11, 1), (11, 8, 4, 9)):
        first = sequence(chance, tokens, start)
        own = tuple((word + 1) % 50 + 3 for word in (*first.ids, *first.ids)[shared : shared + other])
        second = Example((*first.ids[:shared], *own), min(start, shared + other - 1))
        lessons.append(Lesson((first, second), shared=shared))
    return lessons


def expected_losses(plain: Any, examples: Sequence[Example]) -> torch.Tensor:
    """transformers' own forward pass over padded rows."""
    width = max(len(one.ids) for one in examples)
    ids = torch.zeros(len(examples), width, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, one in enumerate(examples):
        ids[row, : len(one.ids)] = torch.tensor(one.ids)
        mask[row, : len(one.ids)] = 1
    logits = plain(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
    found = [
        torch.nn.functional.cross_entropy(
            logits[row, one.answer_start - 1 : len(one.ids) - 1],
            torch.tensor(one.ids[one.answer_start :]),
            reduction="none",
        )
        for row, one in enumerate(examples)
    ]
    return torch.cat(found)


def factors(count: int) -> torch.Tensor:
    """Unequal weights, so that no two tokens could be swapped unseen."""
    return torch.linspace(0.5, 2.0, count)


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    # Tied to the embeddings, the output layer learns nothing in training; here neither does.
    named = {name: value for name, value in model.named_parameters() if "embed" not in name and "lm_head" not in name}
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def assert_close(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        scale = float(right[name].abs().max())
        assert scale > 0, name
        assert float((value - right[name]).abs().max()) < 1e-5 * scale, name


@pytest.mark.parametrize("lessons", [singles(), preferences()], ids=["answers", "pairs"])
def test_losses_and_gradients_are_those_of_transformers(models: tuple[Any, Any], lessons: list[Lesson]) -> None:
    packed, plain = models
    batch = collate(lessons)
    losses = answer_losses(packed, batch)
    expected = expected_losses(plain, [example for lesson in lessons for example in lesson.examples])
    assert torch.allclose(losses, expected, rtol=1e-5, atol=2e-6)
    weights = factors(len(losses))
    assert_close(gradients(packed, (losses * weights).sum()), gradients(plain, (expected * weights).sum()))


def test_together_they_give_the_sum_of_each_alone(models: tuple[Any, Any]) -> None:
    packed, _ = models
    lessons = [*singles(), *preferences()]
    together = answer_losses(packed, collate(lessons))
    weights = factors(len(together))
    alone, summed, at = [], {}, 0
    for lesson in lessons:
        for example in lesson.examples:
            losses = answer_losses(packed, collate([Lesson((example,))]))
            part = gradients(packed, (losses * weights[at : at + len(losses)]).sum())
            summed = {name: value + summed.get(name, 0.0) for name, value in part.items()}
            alone.append(losses.detach())
            at += len(losses)
    assert torch.allclose(together, torch.cat(alone), rtol=0, atol=2e-6)
    assert_close(gradients(packed, (together * weights).sum()), summed)


@torch.no_grad()
def test_no_information_crosses(models: tuple[Any, Any]) -> None:
    """Other tokens in one lesson leave the losses of all the others what they were, to the bit."""
    packed, _ = models
    lessons = [*singles(), *preferences()]
    batch = collate(lessons)
    before = answer_losses(packed, batch)
    first = {}
    for number, lesson in enumerate(lessons):
        first[number] = sum(len(one.examples) for one in lessons[:number])
        other = tuple(
            Example(tuple((word + 7) % WORDS for word in one.ids), one.answer_start) for one in lesson.examples
        )
        changed = [*lessons[:number], replace(lesson, examples=other), *lessons[number + 1 :]]
        after = answer_losses(packed, collate(changed))
        own = (batch.owners >= first[number]) & (batch.owners < first[number] + len(lesson.examples))
        assert torch.equal(before[~own], after[~own])
        assert (before[own] != after[own]).all()


@torch.no_grad()
def test_a_rejected_answer_does_not_see_the_chosen_one(models: tuple[Any, Any]) -> None:
    packed, _ = models
    lesson = preferences()[0]
    chosen, rejected = lesson.examples
    batch = collate([lesson])
    before = answer_losses(packed, batch)
    altered = Example((*chosen.ids[: lesson.shared], *(3 for _ in chosen.ids[lesson.shared :])), chosen.answer_start)
    after = answer_losses(packed, collate([replace(lesson, examples=(altered, rejected))]))
    assert torch.equal(before[batch.owners == 1], after[batch.owners == 1])
    assert not torch.equal(before[batch.owners == 0], after[batch.owners == 0])


def test_every_family_passes_the_check_of_its_output_layer(models: tuple[Any, Any]) -> None:
    check_output_layer(models[0])


@torch.no_grad()
def test_without_a_layout_the_row_is_one_text(models: tuple[Any, Any]) -> None:
    packed, plain = models
    ids = torch.arange(3, 43)[None] % WORDS
    assert torch.allclose(
        packed(input_ids=ids, use_cache=False).logits, plain(input_ids=ids, use_cache=False).logits, atol=1e-4
    )
