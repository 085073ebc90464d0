"""Vectors as a child process hands them to its parent: float32, little-endian, base64 in JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def packed(rows: npt.NDArray[np.float32]) -> dict[str, Any]:
    """`rows` [n, dimensions] for the pipe."""
    return {"shape": list(rows.shape), "float32": base64.b64encode(rows.astype("<f4").tobytes()).decode()}


def unpacked(packet: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """What `packed` was given."""
    flat = np.frombuffer(base64.b64decode(packet["float32"]), dtype="<f4")
    return flat.reshape(packet["shape"]).astype(np.float32)
