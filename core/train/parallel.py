"""Several processes that share every step of one run: each computes a part, and all of them move alike.

The processes find each other by the environment that `accelerate launch` and `torchrun` set (RANK, WORLD_SIZE,
MASTER_ADDR, MASTER_PORT). What they tell each other are numbers and JSON, never pickles.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import torch
import torch.distributed as dist

from core.errors import RunError
from core.train.launch import OF_A_LAUNCHER

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

_PATIENCE: Final = timedelta(hours=24)  # the others wait while the first exports and proves the base model


class Peers:
    """The processes of one run; the plain one stands for a run in a single process.

    Every method must be called by all of them, in the same order.
    """

    rank: int = 0
    size: int = 1

    def sums(self, values: Mapping[str, float]) -> dict[str, float]:
        """The sum of each number over all processes; all give the same names."""
        return dict(values)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in one of them at least."""
        return flag

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Adds up the gradients of all processes, in each of them; one that has none counts as zero."""

    def share_bytes(self, data: bytes = b"") -> bytes:
        """What the first process gives, in all of them."""
        return data

    def share(self, value: Any = None) -> Any:
        """What the first process gives, as JSON, in all of them."""
        return json.loads(self.share_bytes(json.dumps(value).encode() if self.rank == 0 else b""))

    def part(self, things: Sequence[Any]) -> Sequence[Any]:
        """This process's share of a list; every element falls to exactly one."""
        return things


class Group(Peers):
    """The processes that the environment names, met once: at `store`, else at the address that it names too.

    Every call raises RunError where one of the others is gone.
    """

    def __init__(self, store: Store | None = None) -> None:
        with _needing_the_others():
            if store is not None:
                dist.init_process_group(
                    "gloo", timeout=_PATIENCE, store=store, rank=rank_here(), world_size=size_here()
                )
            else:
                dist.init_process_group("gloo", timeout=_PATIENCE)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def sums(self, values: Mapping[str, float]) -> dict[str, float]:
        if not values:
            return {}
        tensor = torch.tensor(list(values.values()), dtype=torch.float64)
        with _needing_the_others():
            dist.all_reduce(tensor)
        return dict(zip(values, tensor.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        return self.sums({"flag": float(flag)})["flag"] > 0

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        known = list(parameters)
        # One message for all of them: adapters are small and the wait for each message is what costs.
        flat = torch.cat(
            [
                (torch.zeros_like(one) if one.grad is None else one.grad).detach().float().cpu().flatten()
                for one in known
            ]
        )
        with _needing_the_others():
            dist.all_reduce(flat)
        at = 0
        for one in known:
            one.grad = flat[at : at + one.numel()].view_as(one).to(one.device)
            at += one.numel()

    def share_bytes(self, data: bytes = b"") -> bytes:
        length = torch.tensor([len(data)], dtype=torch.int64)
        with _needing_the_others():
            dist.broadcast(length, 0)
            if not int(length):
                return b""
            told = torch.frombuffer(bytearray(data or bytes(int(length))), dtype=torch.uint8)
            dist.broadcast(told, 0)
        return told.numpy().tobytes()

    def part(self, things: Sequence[Any]) -> Sequence[Any]:
        return things[self.rank :: self.size]


@contextmanager
def _needing_the_others() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        # The text is like "[file:line] Connection closed by peer [address]. Advice for developers."
        why = str(error).partition("\n")[0].partition("] ")[2].partition(". ")[0] or str(error)
        raise RunError(
            f"Another process that took part in the training is gone: {why}.",
            title="The training processes have lost each other",
            hint="Resume the run: it goes on from its last checkpoint. What ended the process may stand in the log.",
        ) from error


ALONE: Final = Peers()


def size_here() -> int:
    """How many processes the environment says there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank_here() -> int:
    """Which of them this one is; the first is 0."""
    return int(os.environ.get("RANK", "0"))


def left() -> None:
    """Leaves the group, if this process is in one: from now on it is alone."""
    if dist.is_initialized():
        dist.destroy_process_group()
    for name in OF_A_LAUNCHER:
        os.environ.pop(name, None)
