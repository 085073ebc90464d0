"""Log-probabilities of what llama.cpp draws. Imported only in the child process."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

LOGPROB_BUFFER_FLOATS = 1 << 20


class LogProbs:
    """Log-probabilities of drawn tokens, computed many rows at a time: a call of numpy costs more than a row."""

    def __init__(self, n_vocab: int) -> None:
        self._rows = np.empty((max(1, min(64, LOGPROB_BUFFER_FLOATS // n_vocab)), n_vocab), np.float32)
        self._bytes = n_vocab * 4
        self._address = self._rows.ctypes.data
        self._tokens: list[int] = []
        self._values: list[float] = []

    def see(self, logits: Any) -> None:
        """Copy the scores that the next token is drawn from."""
        ctypes.memmove(self._address + len(self._tokens) * self._bytes, logits, self._bytes)

    def took(self, token: int) -> None:
        self._tokens.append(token)
        if len(self._tokens) == len(self._rows):
            self._flush()

    def mean(self) -> float | None:
        """Over all tokens taken; None where there is none."""
        if self._tokens:
            self._flush()
        return sum(self._values) / len(self._values) if self._values else None

    def _flush(self) -> None:
        rows = self._rows[: len(self._tokens)]
        chosen = rows[np.arange(len(rows)), self._tokens]
        top = rows.max(axis=1, keepdims=True)
        self._values += (chosen - top[:, 0] - np.log(np.exp(rows - top).sum(axis=1))).tolist()
        self._tokens.clear()
