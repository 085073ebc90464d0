from __future__ import annotations

from itertools import chain

import torch
from hypothesis import given
from hypothesis import strategies as st

from core.train.batches import WINDOW_STEPS, collate, epoch_steps, micro_batches
from core.train.data import Example

LENGTHS = st.lists(st.integers(2, 400), min_size=1, max_size=150)


@given(lengths=LENGTHS, per_step=st.integers(1, 12), seed=st.integers(0, 5), epoch=st.integers(0, 3))
def test_every_example_once_and_the_order_kept_within_a_window(
    lengths: list[int], per_step: int, seed: int, epoch: int
) -> None:
    steps = epoch_steps(lengths, per_step=per_step, seed=seed, epoch=epoch)
    flat = [index for step in steps for index in step]
    assert sorted(flat) == list(range(len(lengths)))
    assert len(steps) == -(-len(lengths) // per_step)
    assert max(map(len, steps)) - min(map(len, steps)) <= 1
    assert max(map(len, steps)) <= per_step
    assert all(abs(index - place) < WINDOW_STEPS * per_step for place, index in enumerate(flat))
    assert steps == epoch_steps(lengths, per_step=per_step, seed=seed, epoch=epoch)


def test_windows_follow_the_curriculum() -> None:
    steps = epoch_steps([7] * 64, per_step=4, seed=0, epoch=0)
    windows = [sorted(chain(*steps[at : at + WINDOW_STEPS])) for at in range(0, len(steps), WINDOW_STEPS)]
    assert windows == [list(range(at, at + 16)) for at in range(0, 64, 16)]
    assert steps != epoch_steps([7] * 64, per_step=4, seed=0, epoch=1)


@given(lengths=LENGTHS, budget=st.integers(1, 2000))
def test_passes_keep_to_the_token_budget(lengths: list[int], budget: int) -> None:
    groups = micro_batches(range(len(lengths)), lengths, token_budget=budget)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or max(lengths[index] for index in group) * len(group) <= budget


def test_similar_lengths_share_a_step_so_that_little_is_padded() -> None:
    lengths = [40 + (37 * at) % 200 for at in range(256)]
    steps = epoch_steps(lengths, per_step=8, seed=0, epoch=0)
    groups = [group for step in steps for group in micro_batches(step, lengths, token_budget=512)]
    padded = sum(max(lengths[index] for index in group) * len(group) for group in groups)
    assert padded / sum(lengths) < 1.1


def test_collate_predicts_exactly_the_answer_tokens() -> None:
    batch = collate([Example((5, 6, 7, 8), 2, 0.5), Example((1, 2), 1, 2.0)], pad_id=9)
    assert batch.ids.tolist() == [[5, 6, 7, 8], [1, 2, 9, 9]]
    assert batch.positions.tolist() == [1, 2, 4]
    assert batch.labels.tolist() == [7, 8, 2]
    assert torch.equal(batch.weights, torch.tensor([0.5, 0.5, 2.0]))
