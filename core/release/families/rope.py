"""Rotary position embeddings of both formats: config.json's settings, and the keys and factor tensors of GGUF files."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.release.families.plan import decimal, unreadable, unsupported

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Factors = npt.NDArray[np.float32]

FREQUENCIES = "rope_freqs.weight"
LONG, SHORT = "rope_factors_long.weight", "rope_factors_short.weight"
FACTOR_TENSORS = frozenset({FREQUENCIES, LONG, SHORT})
DEFAULT_THETA = 10000.0
BETAS = {"beta_fast": 32.0, "beta_slow": 1.0}  # programs that embed llama.cpp set these, whatever the file says

NEEDED = {
    "default": (),
    "linear": ("factor",),
    "yarn": ("factor", "original_max_position_embeddings"),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
    "longrope": ("short_factor", "long_factor", "original_max_position_embeddings"),
}
# Settings of Llama 3's scaling that are tried on factors found in a file, the published ones first.
LLAMA3_LENGTHS = (8192, *(2**n for n in range(5, 21) if n != 13))
LLAMA3_BOUNDS = ((1.0, 4.0), (1.0, 2.0), (1.0, 8.0), (2.0, 4.0))
LLAMA3_FACTORS = (8.0, 32.0, 2.0, 4.0, 16.0, 64.0)
CLOSE = 1e-4  # other writers compute the factors in float32


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary settings: `kind` of scaling (a key of `NEEDED`), base of the frequencies, the scaling's own settings."""

    kind: str
    theta: float
    settings: Mapping[str, Any]


def read_rope(
    config: Mapping[str, Any], parameters: Mapping[str, Any] | None, theta: float, kinds: frozenset[str]
) -> Rope:
    """Settings of config.json: `parameters` is what it has under `rope_parameters` or `rope_scaling`.

    Raises ExportError for a kind not in `kinds`, and for settings that llama.cpp does not know.
    """
    settings = dict(parameters or {})
    kind = str(settings.get("rope_type", settings.get("type", "default")))
    if kind not in kinds:
        raise unsupported(f"rotary scaling of type {kind!r}; known are {', '.join(sorted(kinds))}")
    if kind in ("yarn", "longrope"):
        trained = config.get("original_max_position_embeddings") or config.get("max_position_embeddings")
        settings.setdefault("original_max_position_embeddings", trained)
    missing = [key for key in NEEDED[kind] if settings.get(key) is None]
    if missing:
        raise unsupported(f"rotary scaling without {', '.join(missing)}")
    if kind == "yarn":
        _check_yarn(settings)
    return Rope(kind, float(settings.get("rope_theta", theta)), settings)


def rope_metadata(rope: Rope, context: int) -> dict[str, int | float | str]:
    """The keys of the file. `context`: tokens the model is made for."""
    values: dict[str, int | float | str] = {"rope.freq_base": rope.theta}
    if rope.kind in ("linear", "yarn", "longrope"):
        values["rope.scaling.type"] = rope.kind
    if rope.kind in ("linear", "yarn"):
        values["rope.scaling.factor"] = float(rope.settings["factor"])
    if rope.kind in ("yarn", "longrope"):
        values["rope.scaling.original_context_length"] = int(rope.settings["original_max_position_embeddings"])
    if rope.kind == "longrope":
        values["rope.scaling.attn_factor"] = _longrope_attention(rope.settings, context)
    return values


def factor_tensors(rope: Rope, dims: int) -> dict[str, Factors]:
    """Divisors of the rotary frequencies, [dims / 2] each, by tensor name. `dims`: rotated features of a head."""
    import numpy as np

    if rope.kind == "llama3":
        return {FREQUENCIES: llama3_factors(rope.theta, dims, rope.settings)}
    if rope.kind != "longrope":
        return {}
    factors = {LONG: rope.settings["long_factor"], SHORT: rope.settings["short_factor"]}
    if any(len(values) != dims // 2 for values in factors.values()):
        raise unsupported(f"rotary factors that are not {dims // 2} numbers")
    return {name: np.asarray(values, dtype=np.float32) for name, values in factors.items()}


def llama3_factors(theta: float, dims: int, scaling: Mapping[str, Any]) -> Factors:
    """Divisors of the frequencies for Llama 3's scaling, [dims / 2].

    Frequencies of long wavelength are divided by `factor`, those of short wavelength are kept, and between the two
    bounds the inverse goes linearly (Llama 3.1 model card; transformers `_compute_llama3_parameters`).
    """
    import numpy as np

    factor, low, high, trained = (float(scaling[key]) for key in NEEDED["llama3"])
    frequencies = theta ** (-np.arange(0, dims, 2, dtype=np.float64) / dims)
    wavelengths = 2 * math.pi / frequencies
    smooth = np.clip((trained / wavelengths - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def rope_parameters(
    fields: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]], *, dims: int, context: int
) -> dict[str, Any]:
    """`rope_parameters` of config.json from a file's keys and factor tensors; ModelError for what has no equal."""
    values: dict[str, Any] = {"rope_theta": decimal(fields.get("rope.freq_base", DEFAULT_THETA))}
    factor = float(fields.get("rope.scaling.factor", fields.get("rope.scale_linear", 0.0)))
    kind = str(fields.get("rope.scaling.type", "linear"))
    if (factor in (0.0, 1.0) and kind != "longrope") or kind == "none":
        kind = "default"
    if {LONG, SHORT} & tensors.keys():
        kind = "longrope"
    attention = float(fields.get("rope.scaling.attn_factor", 1.0))
    if kind not in ("default", "linear", "yarn", "longrope") or (attention != 1.0 and kind != "longrope"):
        raise unreadable(f"rotary scaling of type {kind!r} with an attention factor of {attention:g}")
    trained = int(fields.get("rope.scaling.original_context_length", context))
    if kind == "longrope":
        if not {LONG, SHORT} <= tensors.keys():
            raise unreadable("only one of the two tensors of rotary factors")
        values |= _longrope_settings(tensors, dims, trained, attention, context)
    elif kind == "linear":
        values["factor"] = decimal(factor)
    elif kind == "yarn":
        values |= _yarn_settings(fields, factor, trained)
    if FREQUENCIES in tensors:
        scaling = _llama3_settings(tensors[FREQUENCIES], values["rope_theta"], dims)
        if scaling and kind != "default":
            raise unreadable(f"rotary factors beside scaling of type {kind!r}")
        if scaling:
            return {**values, "rope_type": "llama3", **scaling}
    return {**values, "rope_type": kind}


def _check_yarn(settings: Mapping[str, Any]) -> None:
    factor = float(settings["factor"])
    usual = 1.0 if factor <= 1 else 0.1 * math.log(factor) + 1.0
    attention = settings.get("attention_factor")
    if settings.get("mscale") or settings.get("mscale_all_dim") or not settings.get("truncate", True):
        raise unsupported("YaRN scaling with settings of its own (mscale or truncate)")
    if any(float(settings.get(key) or usual) != usual for key, usual in BETAS.items()):
        raise unsupported("YaRN scaling with bounds of its own (beta_fast or beta_slow)")
    if attention is not None and not math.isclose(float(attention), usual, rel_tol=1e-5):
        raise unsupported(f"YaRN scaling with an attention factor of its own ({attention})")


def _yarn_settings(fields: Mapping[str, Any], factor: float, trained: int) -> dict[str, Any]:
    for key in ("yarn_log_multiplier", "yarn_ext_factor", "yarn_attn_factor"):
        if f"rope.scaling.{key}" in fields:
            raise unreadable(f"YaRN scaling with a setting of its own ({key})")
    for key, usual in BETAS.items():
        if float(fields.get(f"rope.scaling.yarn_{key}", usual)) != usual:
            raise unreadable(f"YaRN scaling with a bound of its own ({key})")
    return {"factor": decimal(factor), "original_max_position_embeddings": trained}


def _longrope_attention(settings: Mapping[str, Any], context: int) -> float:
    """Factor of the attention's cosines and sines (transformers `_compute_longrope_parameters`)."""
    if settings.get("attention_factor") is not None:
        return float(settings["attention_factor"])
    trained = int(settings["original_max_position_embeddings"])
    factor = float(settings.get("factor") or context / trained)
    return 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(trained))


def _longrope_settings(
    tensors: Mapping[str, npt.NDArray[Any]], dims: int, trained: int, attention: float, context: int
) -> dict[str, Any]:
    values: dict[str, Any] = {"original_max_position_embeddings": trained}
    for key, name in (("long_factor", LONG), ("short_factor", SHORT)):
        if tensors[name].shape != (dims // 2,):
            raise unreadable(f"rotary factors of shape {tensors[name].shape} for heads that rotate {dims} features")
        values[key] = [decimal(value) for value in tensors[name]]
    if not math.isclose(attention, _longrope_attention(values, context), rel_tol=1e-5):
        values["attention_factor"] = decimal(attention)
    return values


def _llama3_settings(factors: npt.NDArray[Any], theta: float, dims: int) -> dict[str, Any]:
    """The settings that give these factors; empty where all are one. ModelError where no known ones do."""
    import numpy as np

    if factors.shape == (dims // 2,) and factors.dtype == np.float32:
        if np.allclose(factors, 1.0, rtol=CLOSE):
            return {}
        largest = decimal(factors.max())
        for trained, (low, high), factor in itertools.product(
            LLAMA3_LENGTHS, LLAMA3_BOUNDS, dict.fromkeys((float(round(largest)), largest, *LLAMA3_FACTORS))
        ):
            scaling = dict(zip(NEEDED["llama3"], (factor, low, high, trained), strict=True))
            if factor > 1 and np.allclose(llama3_factors(theta, dims, scaling), factors, rtol=CLOSE):
                return scaling
    raise unreadable("rotary factors (rope_freqs.weight) that are not those of Llama 3's scaling")
