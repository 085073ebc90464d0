"""How llama.cpp draws the next token. Imported only in the child process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import llama_cpp.llama_cpp as native

from core.backends.backend import PENALTY_WINDOW


def sampler_of(sampling: Mapping[str, Any], n_vocab: int) -> Any:
    """The chain in llama.cpp's own order: penalties, top-k, top-p, temperature, draw. To be freed by the caller."""
    penalty, temperature = float(sampling["repeat_penalty"]), float(sampling["temperature"])
    parts = []
    if penalty != 1.0:
        parts.append(native.llama_sampler_init_penalties(n_vocab, PENALTY_WINDOW, penalty, 0.0, 0.0))
    if temperature > 0:
        parts += [
            native.llama_sampler_init_top_k(int(sampling["top_k"])),
            native.llama_sampler_init_top_p(float(sampling["top_p"]), 1),
            native.llama_sampler_init_temp(temperature),
            native.llama_sampler_init_dist(int(sampling["seed"]) & 0xFFFFFFFF),
        ]
    else:
        parts.append(native.llama_sampler_init_greedy())
    return _chain(parts)


def greedy_sampler() -> Any:
    """Takes the most likely token. To be freed by the caller."""
    return _chain([native.llama_sampler_init_greedy()])


def see_prompt(sampler: Any, prompt: list[int]) -> None:
    """Lets a penalty count what the prompt ends with, as servers do."""
    for token in prompt[-PENALTY_WINDOW:]:
        native.llama_sampler_accept(sampler, token)


def _chain(parts: list[Any]) -> Any:
    chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
    for part in parts:
        native.llama_sampler_chain_add(chain, part)
    return chain
