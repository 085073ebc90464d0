"""Which base models there are to choose from: the presets, what lies in the home folder, and what Ollama holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.backends.by_name import OLLAMA
from core.errors import FinetuneError
from core.train.base_model import read_config
from core.train.config import TrainSettings, configured
from core.train.footprint import Device
from core.train.gguf_base import made_bases
from core.train.memory import detect_device, estimate
from core.train.presets import PRESETS, Preset, downloaded, resolve_base

if TYPE_CHECKING:
    from core.backends.ollama_store import HeldModel
    from core.config import Config
    from core.paths import Home

Place = Literal["here", "in Ollama", "not here"]


@dataclass(frozen=True, slots=True)
class KnownBase:
    """One base model. `name` is what a run is started with.

    place: "here" can be trained at once, "in Ollama" after its file was taken apart. source: the folder, the name in
    Ollama, or the id to download. verdict and memory: what training it with the configured settings takes, empty where
    that is not known without reading weights.
    """

    name: str
    title: str
    place: Place
    source: str
    verdict: str
    memory: str


def list_bases(home: Home, config: Config) -> list[KnownBase]:
    """The presets, then the other folders in the home folder, then the other models of Ollama. Nothing is changed."""
    from core.backends.ollama_store import held

    in_ollama = {model.name.lower(): model for model in held()}
    device = detect_device()
    made = {one.origin: one.folder for one in reversed(made_bases(home))}
    shown = [_preset(preset, home, config, in_ollama, device) for preset in PRESETS.values()]
    taken = {PRESETS[one.name].ollama for one in shown if one.place == "in Ollama"}
    for folder in sorted((home.models / "base").glob("*/config.json")):
        path = folder.parent
        if path.name not in PRESETS and not path.name.startswith("."):
            origin = next((name for name, own in made.items() if own == path), "")
            shown.append(_folder(origin or str(path), path, config, device))
    for name, model in in_ollama.items():
        if name not in taken and OLLAMA + name not in made:
            size = ", ".join(part for part in (model.parameters, model.quantization, _gigabytes(model)) if part)
            shown.append(KnownBase(OLLAMA + name, f"{model.name} ({size})", "in Ollama", model.name, "", ""))
    return shown


def _preset(
    preset: Preset, home: Home, config: Config, in_ollama: Mapping[str, HeldModel], device: Device
) -> KnownBase:
    folder = downloaded(preset.name, preset.hub_id, home) if preset.hub_id else resolve_base(preset.name, home).path
    place: Place = "here"
    source = str(folder)
    shape = preset.config
    if folder is None:
        place, source = ("in Ollama", preset.ollama) if preset.ollama in in_ollama else ("not here", preset.hub_id)
    elif not shape:
        shape = _config(folder)
    return KnownBase(preset.name, preset.title, place, source, *_memory(shape, config, preset.name, device))


def _folder(name: str, path: Path, config: Config, device: Device) -> KnownBase:
    return KnownBase(name, path.name, "here", str(path), *_memory(_config(path), config, name, device))


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        return read_config(folder)
    except FinetuneError:
        return {}


def _memory(shape: Mapping[str, Any], config: Config, name: str, device: Device) -> tuple[str, str]:
    """The verdict and the sentence of the estimate; both empty where there is none."""
    try:
        plan = estimate(shape, TrainSettings.from_mapping(configured(config, name)), device)
    except FinetuneError:
        return "", ""
    return plan.verdict, plan.sentence


def _gigabytes(model: HeldModel) -> str:
    return f"{model.bytes / 1e9:.1f} GB" if model.bytes else ""
