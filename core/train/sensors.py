"""Temperature, load and memory of what trains: NVIDIA's cards by NVML, otherwise the processor's own sensors.

What cannot be read is not there: a figure that a card or a driver does not have is left out, never guessed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, Protocol

GPU: Final = "graphics card"
CPU: Final = "processor"
COLDEST, HOTTEST = 1.0, 125.0
"""°C beyond which a sensor is broken or not connected: silicon switches itself off well before the upper one."""

_CPU_CHIPS: Final = frozenset(
    {"coretemp", "k10temp", "k8temp", "zenpower", "via_cputemp", "cpu_thermal", "cpu-thermal", "x86_pkg_temp"}
)
_CPU_LABELS: Final = ("package", "core ")
_FAILURES: Final = (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, ImportError)


class Sensors(Protocol):
    """Something that has a temperature. `what` names it in a sentence."""

    what: str

    def read(self) -> dict[str, float]:
        """What is known now, of gpu_percent (0-100), temperature (°C) and gpu_memory_mb (MiB in use)."""
        ...

    def close(self) -> None:
        """Gives back what was opened."""
        ...


def open_sensors(*, gpu: bool = True, environment: Mapping[str, str] | None = None) -> Sensors:
    """The sensors of the cards that this process trains on, or of the processor where there are none.

    `gpu` False asks for the processor. Cards are those that CUDA_VISIBLE_DEVICES lets through, as many as processes
    train on this machine (LOCAL_WORLD_SIZE). NVML counts cards by their place on the bus; CUDA counts the fastest
    first unless CUDA_DEVICE_ORDER=PCI_BUS_ID, so with unlike cards numbers may name another one, UUIDs never do.
    """
    cards = Cards.open(os.environ if environment is None else environment) if gpu else None
    return cards or Processor()


class Cards:
    """NVIDIA cards: the highest temperature, the mean load, the memory in use on all of them."""

    what = GPU

    def __init__(self, nvml: Any, handles: list[tuple[Any, Any]]) -> None:
        self._nvml = nvml
        self._handles = handles
        self._failures = (*_FAILURES, nvml.NVMLError)

    @classmethod
    def open(cls, environment: Mapping[str, str]) -> Cards | None:
        """None without a driver, without a card, or when none is visible to CUDA."""
        try:
            pynvml: Any = import_module("pynvml")  # it has no types
        except _FAILURES:
            return None
        failures = (*_FAILURES, pynvml.NVMLError)
        try:
            pynvml.nvmlInit()
        except failures:
            return None
        handles: list[tuple[Any, Any]] = []
        with suppress(*failures):
            handles = _handles(pynvml, environment)
        if handles:
            return cls(pynvml, handles)
        with suppress(*failures):
            pynvml.nvmlShutdown()
        return None

    def read(self) -> dict[str, float]:
        """See `Sensors`."""
        nvml = self._nvml
        loads = self._each(lambda _, board: float(nvml.nvmlDeviceGetUtilizationRates(board).gpu))
        heats = [heat for heat in self._each(lambda _, board: self._heat(board)) if COLDEST <= heat <= HOTTEST]
        memory = self._each(lambda part, _: float(nvml.nvmlDeviceGetMemoryInfo(part).used))
        figures: dict[str, float] = {}
        if loads:
            figures["gpu_percent"] = sum(loads) / len(loads)
        if heats:
            figures["temperature"] = max(heats)
        if memory:
            figures["gpu_memory_mb"] = sum(memory) / 2**20
        return figures

    def close(self) -> None:
        """See `Sensors`."""
        with suppress(*self._failures):
            self._nvml.nvmlShutdown()

    def _heat(self, board: Any) -> float:
        try:
            return float(self._nvml.nvmlDeviceGetTemperature(board, self._nvml.NVML_TEMPERATURE_GPU))
        except self._failures:  # the call is deprecated, and its successor unknown to older drivers
            return float(self._nvml.nvmlDeviceGetTemperatureV(board, self._nvml.NVML_TEMPERATURE_GPU))

    def _each(self, figure: Callable[[Any, Any], float]) -> list[float]:
        known: list[float] = []
        for part, board in self._handles:
            with suppress(*self._failures):
                known.append(figure(part, board))
        return known


def _handles(nvml: Any, environment: Mapping[str, str]) -> list[tuple[Any, Any]]:
    """For each card in use the handle of what is used of it (a MIG instance or the card) and of its board."""
    wanted = environment.get("CUDA_VISIBLE_DEVICES")
    names = [str(index) for index in range(nvml.nvmlDeviceGetCount())]
    if wanted is not None:
        names = [name.strip() for name in wanted.split(",")]
    processes = environment.get("LOCAL_WORLD_SIZE", "")
    handles: list[tuple[Any, Any]] = []
    for name in names[: int(processes) if processes.isdigit() and int(processes) else 1]:
        found = _handle(nvml, name)
        if found is None:  # CUDA, too, stops at the first entry that names no card
            break
        handles.append(found)
    return handles


def _handle(nvml: Any, name: str) -> tuple[Any, Any] | None:
    if name.isdigit():
        if int(name) >= nvml.nvmlDeviceGetCount():
            return None
        board = nvml.nvmlDeviceGetHandleByIndex(int(name))
        return board, board
    if name.startswith("MIG-"):
        part = nvml.nvmlDeviceGetHandleByUUID(name)
        return part, nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part)
    if not name.startswith("GPU-"):
        return None
    for index in range(nvml.nvmlDeviceGetCount()):  # CUDA takes the beginning of a UUID, NVML only the whole
        board = nvml.nvmlDeviceGetHandleByIndex(index)
        if str(nvml.nvmlDeviceGetUUID(board)).startswith(name):
            return board, board
    return None


class Processor:
    """The processor: the highest of its package and core sensors, where the system shows them (Linux, FreeBSD)."""

    what = CPU

    def read(self) -> dict[str, float]:
        """See `Sensors`."""
        heats: list[float] = []
        with suppress(*_FAILURES):
            import psutil

            for chip, entries in psutil.sensors_temperatures().items():
                heats += _heats(chip, entries)
        return {"temperature": max(heats)} if heats else {}

    def close(self) -> None:
        """Nothing is held open."""


def _heats(chip: str, entries: list[Any]) -> list[float]:
    known = [
        (entry.label.lower(), float(entry.current))
        for entry in entries
        if isinstance(entry.current, (int, float)) and COLDEST <= entry.current <= HOTTEST
    ]
    if chip.lower() not in _CPU_CHIPS:
        return [heat for label, heat in known if label == "cpu" or label.startswith(_CPU_LABELS)]
    # Tctl is what fans are steered by, on some processors far above what the die (Tdie) has.
    die = any(label == "tdie" for label, _ in known)
    return [heat for label, heat in known if not (die and label == "tctl")]
