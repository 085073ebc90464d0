"""The monitor on cards and sensors that behave as pynvml's and psutil's functions do, at a clock of its own."""

from __future__ import annotations

import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from core.train.monitor import Monitor
from core.train.sensors import CPU, GPU, open_sensors

Shwtemp = namedtuple("Shwtemp", ["label", "current", "high", "critical"])
Readings = dict[str, list[Shwtemp]]


class NVMLError(Exception):
    """As pynvml.NVMLError: every call may raise it."""


@dataclass
class FakeCard:
    uuid: str
    heat: float | None = 60
    load: int | None = 90
    used: int | None = 5 * 2**30
    parent: FakeCard | None = None


@dataclass
class FakeNvml:
    """The functions of pynvml that are called, with its names, arguments and kinds of results."""

    cards: list[FakeCard]
    parts: list[FakeCard] = field(default_factory=list)
    driver: bool = True
    old_heat: bool = True
    opened: int = 0
    NVMLError: type[Exception] = NVMLError
    NVML_TEMPERATURE_GPU: int = 0

    def nvmlInit(self) -> None:
        if not self.driver:
            raise NVMLError("NVML Shared Library Not Found")
        self.opened += 1

    def nvmlShutdown(self) -> None:
        self.opened -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeCard:
        if not 0 <= index < len(self.cards):
            raise NVMLError("Invalid Argument")
        return self.cards[index]

    def nvmlDeviceGetUUID(self, handle: FakeCard) -> str:
        return handle.uuid

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> FakeCard:
        for card in [*self.cards, *self.parts]:
            if card.uuid == uuid:
                return card
        raise NVMLError("Not Found")

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, part: FakeCard) -> FakeCard:
        if part.parent is None:
            raise NVMLError("Invalid Argument")
        return part.parent

    def nvmlDeviceGetTemperature(self, handle: FakeCard, sensor: int) -> float:
        if not self.old_heat or handle.heat is None or sensor != 0:
            raise NVMLError("Not Supported")
        return handle.heat

    def nvmlDeviceGetTemperatureV(self, handle: FakeCard, sensor: int) -> float:
        if handle.heat is None or sensor != 0:
            raise NVMLError("Not Supported")
        return handle.heat

    def nvmlDeviceGetUtilizationRates(self, handle: FakeCard) -> SimpleNamespace:
        if handle.load is None:
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=handle.load, memory=1)

    def nvmlDeviceGetMemoryInfo(self, handle: FakeCard) -> SimpleNamespace:
        if handle.used is None:
            raise NVMLError("Not Supported")
        return SimpleNamespace(total=24 * 2**30, free=0, used=handle.used)


Install = Callable[[FakeNvml], FakeNvml]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Install:
    def install(fake: FakeNvml) -> FakeNvml:
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    return install


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)


@pytest.fixture
def heats(monkeypatch: pytest.MonkeyPatch) -> Callable[[Readings], None]:
    def install(readings: Readings) -> None:
        monkeypatch.setattr(psutil, "sensors_temperatures", lambda: readings, raising=False)

    return install


def read(environment: dict[str, str] | None = None, *, gpu: bool = True) -> tuple[str, dict[str, float]]:
    sensors = open_sensors(gpu=gpu, environment=environment or {})
    try:
        return sensors.what, sensors.read()
    finally:
        sensors.close()


def two_cards() -> FakeNvml:
    return FakeNvml([FakeCard("GPU-1111-aa", heat=60, load=90), FakeCard("GPU-2222-bb", heat=71, load=50)])


def test_the_pynvml_that_is_installed_has_what_is_called() -> None:
    pynvml = pytest.importorskip("pynvml")
    for name in vars(FakeNvml):
        if name.startswith(("nvml", "NVML")):
            assert hasattr(pynvml, name), name


def test_one_card(nvml: Install) -> None:
    fake = nvml(two_cards())
    assert read() == (GPU, {"gpu_percent": 90, "temperature": 60, "gpu_memory_mb": 5 * 1024})
    assert fake.opened == 0


@pytest.mark.parametrize(
    ("visible", "heat"),
    [("1", 71), ("1,0", 71), (" 0", 60), ("GPU-2222-bb", 71), ("GPU-22", 71), ("GPU-1111-aa,1", 60)],
)
def test_the_card_that_cuda_sees_first(nvml: Install, visible: str, heat: float) -> None:
    nvml(two_cards())
    assert read({"CUDA_VISIBLE_DEVICES": visible})[1]["temperature"] == heat


@pytest.mark.parametrize("visible", ["", "-1", "7", "GPU-9", "nonsense", "MIG-9", "²"])
def test_without_a_visible_card_it_is_the_processor(
    nvml: Install, heats: Callable[[Readings], None], visible: str
) -> None:
    fake = nvml(two_cards())
    heats({"coretemp": [Shwtemp("Package id 0", 55.0, 80.0, 100.0)]})
    assert read({"CUDA_VISIBLE_DEVICES": visible}) == (CPU, {"temperature": 55})
    assert fake.opened == 0


def test_several_processes_watch_all_their_cards(nvml: Install) -> None:
    nvml(two_cards())
    figures = read({"LOCAL_WORLD_SIZE": "2"})[1]
    assert figures == {"gpu_percent": 70, "temperature": 71, "gpu_memory_mb": 10 * 1024}


def test_a_part_of_a_card_is_as_hot_as_its_board(nvml: Install) -> None:
    board = FakeCard("GPU-1", heat=66, load=None, used=40 * 2**30)
    part = FakeCard("MIG-1", heat=None, load=None, used=2**30, parent=board)
    nvml(FakeNvml([board], parts=[part]))
    assert read({"CUDA_VISIBLE_DEVICES": "MIG-1"})[1] == {"temperature": 66, "gpu_memory_mb": 1024}


def test_what_a_card_does_not_tell_is_left_out(nvml: Install) -> None:
    fake = nvml(FakeNvml([FakeCard("GPU-1", heat=None, load=None)]))
    assert read()[1] == {"gpu_memory_mb": 5 * 1024}
    fake.cards[0].heat, fake.cards[0].used = 255, None
    assert read()[1] == {}


def test_the_newer_call_for_the_temperature(nvml: Install) -> None:
    fake = nvml(two_cards())
    fake.old_heat = False
    assert read()[1]["temperature"] == 60


def test_no_driver_no_library_no_sensor(
    nvml: Install, heats: Callable[[Readings], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    heats({})
    nvml(FakeNvml([], driver=False))
    assert read() == (CPU, {})
    nvml(FakeNvml([]))
    assert read() == (CPU, {})
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert read() == (CPU, {})
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)  # as on macOS and Windows
    assert read() == (CPU, {})


@pytest.mark.usefixtures("no_card")
@pytest.mark.parametrize(
    ("readings", "heat"),
    [
        ({"coretemp": [Shwtemp("Package id 0", 61.0, 80.0, 100.0), Shwtemp("Core 3", 64.0, 80.0, 100.0)]}, 64.0),
        ({"k10temp": [Shwtemp("Tctl", 92.5, None, None), Shwtemp("Tdie", 65.5, None, None)]}, 65.5),
        ({"k10temp": [Shwtemp("Tctl", 58.0, None, None), Shwtemp("Tccd1", 60.0, None, None)]}, 60.0),
        ({"cpu_thermal": [Shwtemp("", 48.3, None, None)]}, 48.3),
        ({"thinkpad": [Shwtemp("CPU", 52.0, None, None), Shwtemp("GPU", 90.0, None, None)]}, 52.0),
        ({"coretemp": [Shwtemp("Core 0", 255.0, None, None), Shwtemp("Core 1", 50.0, None, None)]}, 50.0),
        ({"coretemp": [Shwtemp("Core 0", -273.0, None, None), Shwtemp("Core 1", 0.0, None, None)]}, None),
        ({"nvme": [Shwtemp("Composite", 70.0, None, None)], "acpitz": [Shwtemp("", 27.8, None, None)]}, None),
        ({"nct6775": [Shwtemp("CPUTIN", 115.0, None, None)]}, None),
    ],
)
def test_the_processor(heats: Callable[[Readings], None], readings: Readings, heat: float | None) -> None:
    heats(readings)
    assert read()[1].get("temperature") == heat


def test_the_processor_also_beside_a_card(nvml: Install, heats: Callable[[Readings], None]) -> None:
    nvml(two_cards())
    heats({"coretemp": [Shwtemp("Core 0", 50.0, None, None)]})
    assert read(gpu=False) == (CPU, {"temperature": 50})


@pytest.mark.usefixtures("no_card")
def test_sensors_that_break_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Readings:
        raise OSError("Input/output error")

    monkeypatch.setattr(psutil, "sensors_temperatures", broken, raising=False)
    assert read() == (CPU, {})


class Scene:
    """A monitor whose thread is replaced by the scene: at second t of its clock it has read `heat(t)`."""

    def __init__(self, heat: Callable[[float], float | None]) -> None:
        self.now = 1_000.0
        self.heat = heat
        self.notes: list[str] = []
        self.monitor = Monitor(clock=lambda: self.now, sleep=self.pass_time, sensors=lambda: None)  # type: ignore[arg-type, return-value]
        self.monitor._what = GPU
        self.pass_time(0.0)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        heat = self.heat(self.now - 1_000.0)
        self.monitor._figures = {} if heat is None else {"temperature": heat}
        self.monitor._read_at = self.now

    def cool_down(self, limit: int = 85, should_stop: Callable[[], bool] = lambda: False) -> float:
        return self.monitor.cool_down(limit, should_stop, self.notes.append)


def test_it_waits_until_it_is_eight_degrees_cooler() -> None:
    scene = Scene(lambda second: 88 - second)
    assert scene.cool_down() == 11
    assert scene.notes == [
        "The graphics card is at 88 °C (limit 85 °C): training waits until it is at 77 °C.",
        "The graphics card is at 77 °C: training goes on after 11 s.",
    ]


@pytest.mark.parametrize(("heat", "limit"), [(84.0, 85), (99.0, 0), (None, 85)])
def test_it_does_not_wait(heat: float | None, limit: int) -> None:
    scene = Scene(lambda _: heat)
    assert scene.cool_down(limit) == 0
    assert not scene.notes


def test_a_stop_ends_the_wait() -> None:
    scene = Scene(lambda _: 90)
    assert scene.cool_down(should_stop=lambda: scene.now >= 1_003) == 3


def test_a_temperature_that_is_lost_ends_the_wait() -> None:
    scene = Scene(lambda second: 90 if second < 4 else None)
    assert scene.cool_down() == 4
    assert scene.notes[1] == "The temperature can no longer be read: training goes on after 4 s."


def test_a_vain_wait_ends_after_ten_minutes_and_is_not_begun_again() -> None:
    scene = Scene(lambda second: 90 if second < 700 else 70 if second < 800 else 90)
    assert scene.cool_down() == 600
    assert scene.notes[1].startswith("After 10 min of waiting the graphics card is still at 90 °C: training goes on.")
    assert scene.cool_down() == 0
    scene.pass_time(150)
    assert scene.cool_down() == 0
    scene.pass_time(100)
    assert scene.cool_down() == 600
    assert len(scene.notes) == 4


def test_old_readings_are_not_known_any_more() -> None:
    scene = Scene(lambda _: 90)
    scene.now += 9
    assert scene.monitor.figures() == {"temperature": 90}
    scene.now += 2
    assert scene.monitor.figures() == {}


class Counting:
    """Sensors that say when they were read and closed."""

    what = GPU

    def __init__(self) -> None:
        self.was_read, self.closed = threading.Event(), threading.Event()

    def read(self) -> dict[str, float]:
        self.was_read.set()
        return {"temperature": 50.0}

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def counting() -> Iterator[Counting]:
    yield Counting()


def test_the_thread_reads_and_closes(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.train.monitor.READ_SECONDS", 0.005)
    with Monitor(sensors=lambda: counting) as monitor:
        assert counting.was_read.wait(5)
        for _ in range(1_000):
            if monitor.figures():
                break
            threading.Event().wait(0.005)
        assert monitor.figures() == {"temperature": 50.0}
    assert counting.closed.is_set()
    assert not monitor._thread.is_alive()


def test_leaving_does_not_wait_for_a_driver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.train.monitor._CLOSING_SECONDS", 0.01)
    answered = threading.Event()

    def hang() -> Any:
        answered.wait(5)
        return Counting()

    with Monitor(sensors=hang) as monitor:
        assert monitor.figures() == {}
    assert monitor._thread.is_alive()
    answered.set()
    monitor._thread.join(5)


def test_on_this_machine() -> None:
    with Monitor() as monitor:
        assert set(monitor.figures()) <= {"gpu_percent", "temperature", "gpu_memory_mb"}


def test_torch_is_not_imported() -> None:
    import subprocess

    code = "import sys\nfrom core.train.monitor import Monitor\nwith Monitor(): pass\nassert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
