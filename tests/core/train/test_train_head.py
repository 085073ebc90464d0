"""The output layer and its loss in one piece, against torch's own automatic differentiation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.train import loss as loss_module
from core.train.loss import _FrozenHead


def plain(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, labels: torch.Tensor, cap: float | None
) -> torch.Tensor:
    logits = torch.nn.functional.linear(hidden, weight, bias)
    if cap is not None:
        logits = torch.tanh(logits / cap) * cap
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def fused(*arguments: Any) -> torch.Tensor:
    losses: torch.Tensor = _FrozenHead.apply(*arguments)  # type: ignore[no-untyped-call]
    return losses


def drawn(seed: int, rows: int, width: int, words: int, scale: float = 1.0) -> tuple[torch.Tensor, ...]:
    chance = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, width, generator=chance),
        torch.randn(words, width, generator=chance) * scale,
        torch.randn(words, generator=chance),
        torch.randint(words, (rows,), generator=chance),
        torch.randn(rows, generator=chance),
    )


@settings(max_examples=120)
@given(
    rows=st.integers(1, 33),
    width=st.integers(1, 24),
    words=st.integers(1, 70),
    chunk=st.integers(1, 40),
    biased=st.booleans(),
    cap=st.one_of(st.none(), st.floats(0.5, 50.0)),
    scale=st.floats(0.01, 8.0),
    seed=st.integers(0, 1000),
)
def test_losses_and_gradients_are_those_of_autograd(
    rows: int, width: int, words: int, chunk: int, biased: bool, cap: float | None, scale: float, seed: int
) -> None:
    hidden, weight, offsets, labels, outer = drawn(seed, rows, width, words, scale)
    bias = offsets if biased else None
    exact = hidden.double().requires_grad_()
    wanted = plain(exact, weight.double(), None if bias is None else bias.double(), labels, cap)
    (expected,) = torch.autograd.grad((wanted * outer.double()).sum(), exact)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss_module, "LOGIT_CHUNK_BYTES", 4 * words * chunk)
        hidden.requires_grad_()
        losses = fused(hidden, weight, bias, labels, cap)
        (gradient,) = torch.autograd.grad((losses * outer).sum(), hidden)
    assert losses.dtype == torch.float32
    assert torch.allclose(losses.double(), wanted, rtol=1e-5, atol=2e-5 * max(1.0, scale))
    assert torch.allclose(gradient.double(), expected, rtol=1e-4, atol=1e-5 * max(1.0, scale))


@pytest.mark.parametrize("cap", [None, 30.0])
def test_it_is_exact_in_double_precision_of_its_input(cap: float | None) -> None:
    """Finite differences know nothing of anybody's formula."""
    hidden, weight, bias, labels, _ = (one.double() if one.is_floating_point() else one for one in drawn(1, 4, 6, 9))
    hidden.requires_grad_()
    losses = fused(hidden, weight, bias, labels, cap)
    (gradient,) = torch.autograd.grad(losses.sum(), hidden)
    step = 1e-3
    for row in range(4):
        for column in range(6):
            up, down = hidden.detach().clone(), hidden.detach().clone()
            up[row, column] += step
            down[row, column] -= step
            rise = float(plain(up, weight, bias, labels, cap).sum() - plain(down, weight, bias, labels, cap).sum())
            assert float(gradient[row, column]) == pytest.approx(rise / (2 * step), abs=1e-5)


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, bias, labels, _ = drawn(2, 50, 16, 30)
    found = []
    for rows in (1, 7, 49, 50, 1000):
        monkeypatch.setattr(loss_module, "LOGIT_CHUNK_BYTES", 4 * 30 * rows)
        one = hidden.clone().requires_grad_()
        losses = fused(one, weight, bias, labels, None)
        found.append((losses.detach(), torch.autograd.grad(losses.sum(), one)[0]))
    for losses, gradient in found:
        assert torch.allclose(losses, found[0][0], atol=2e-6)
        assert torch.allclose(gradient, found[0][1], atol=2e-6)


def test_no_answer_token_and_no_gradient_are_fine() -> None:
    hidden, weight, bias, labels, _ = drawn(3, 5, 8, 20)
    with torch.no_grad():
        assert torch.allclose(fused(hidden, weight, bias, labels, None), plain(hidden, weight, bias, labels, None))
    nothing = fused(hidden[:0].requires_grad_(), weight, bias, labels[:0], None)
    assert nothing.shape == (0,)
    nothing.sum().backward()  # type: ignore[no-untyped-call]


def test_in_half_precision_the_softmax_is_taken_in_single() -> None:
    hidden, weight, _, labels, _ = drawn(4, 20, 16, 200)
    half = hidden.bfloat16().requires_grad_()
    losses = fused(half, weight.bfloat16(), None, labels, None)
    (gradient,) = torch.autograd.grad(losses.sum(), half)
    assert (losses.dtype, gradient.dtype) == (torch.float32, torch.bfloat16)
    exact = hidden.bfloat16().float().requires_grad_()
    wanted = plain(exact, weight.bfloat16().float(), None, labels, None)
    (expected,) = torch.autograd.grad(wanted.sum(), exact)
    assert torch.allclose(losses, wanted, rtol=2e-2, atol=5e-2)
    assert float((gradient.float() - expected).norm() / expected.norm()) < 0.02


def test_only_one_chunk_of_logits_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing as large as the logits of all tokens is kept for the backward pass."""
    monkeypatch.setattr(loss_module, "LOGIT_CHUNK_BYTES", 4 * 500 * 8)
    hidden, weight, bias, labels, _ = drawn(5, 64, 4, 500)
    largest = 0
    logits = loss_module._logits

    def watched(*arguments: Any) -> torch.Tensor:
        nonlocal largest
        made: torch.Tensor = logits(*arguments)
        largest = max(largest, made.numel() * made.element_size())
        return made

    monkeypatch.setattr(loss_module, "_logits", watched)
    losses = fused(hidden.requires_grad_(), weight, bias, labels, None)
    assert largest == 4 * 500 * 8
    kept = [value for value in vars(losses.grad_fn).values() if isinstance(value, torch.Tensor)]
    assert [tuple(value.shape) for value in kept] == [(64, 4)]
