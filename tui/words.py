"""How figures and states are put into words: one place, so that every screen says the same thing the same way."""

from __future__ import annotations

import math
import time
from typing import TypeGuard

RUN_GLYPHS = {
    "queued": "◌",
    "running": "●",
    "stopped": "■",
    "finished": "✓",
    "failed": "✗",
    "lost": "?",
}
RUN_WORDS = {"finished": "done"}
RUN_COLOURS = {
    "queued": "$text-muted",
    "running": "$text-primary",
    "stopped": "$text-warning",
    "finished": "$text-success",
    "failed": "$text-error",
    "lost": "$text-warning",
}
VERDICT_GLYPHS = {"promote": "✓", "keep": "✗", "need more data": "…"}
_LENGTHS = ((60, "min", 1, "s"), (3600, "h", 60, "min"), (86400, "d", 3600, "h"))
_UNITS = ("B", "KB", "MB", "GB", "TB")
_LONGEST = 1_000 * 365 * 86_400.0  # seconds; beyond it a clock was wrong, or a file
_DIGITS = 1e9


def run_status(status: str) -> str:
    """Glyph and word of a run's status: `● running`, `✓ done`."""
    return f"{RUN_GLYPHS.get(status, '·')} {RUN_WORDS.get(status, status)}"


def data_size(count: float) -> str:
    """Bytes in decimal units, three digits at most: 812 B, 1.3 MB, 24 GB."""
    value = float(count)
    for unit in _UNITS:
        if abs(value) < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    if abs(value) >= 999_999.5:
        return f"{value:.3g} {unit}"
    return f"{value:.0f} {unit}" if unit == "B" or abs(value) >= 9.95 else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units: 25 ms, 4 s, 2 min 5 s, 3 h 20 min, 2 d 4 h."""
    if not math.isfinite(seconds) or seconds < 0:
        return "?"
    if seconds > _LONGEST:
        return "over 1,000 years"
    if 0 < seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 9.5 or whole == seconds else f"{seconds:.1f} s"
    size, unit, small, small_unit = _LENGTHS[0 if whole < 3600 else 1 if whole < 86400 else 2]
    rest = whole % size // small
    return f"{whole // size} {unit}" + (f" {rest} {small_unit}" if rest else "")


def time_left(seconds: object) -> str:
    """What still has to be waited, as exactly as an estimate deserves: 45 s left, 12 min left, 3 h 20 min left."""
    if not _is_number(seconds) or seconds < 0:
        return "–"
    if seconds < 59.5:
        return f"{seconds:.0f} s left"
    return f"{duration(seconds if seconds >= 3570 else 60 * round(seconds / 60))} left"


def ago(at: float, now: float | None = None) -> str:
    """How long since `at`, one unit: just now, 5 min ago, 3 h ago, 2 d ago."""
    seconds = max(0.0, (time.time() if now is None else now) - at)
    if seconds < 60:
        return "just now"
    if seconds > _LONGEST:
        return "over 1,000 years ago"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def clock(at: float) -> str:
    """A moment in local time, to the minute; `?` where no calendar has it."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    except (OverflowError, OSError, ValueError):
        return "?"


def percent(share: object, digits: int = 0) -> str:
    """A share 0-1 as a percentage, `–` when it is not known."""
    return f"{_fixed(100 * share, digits)} %" if _is_number(share) else "–"


def number(value: object, digits: int = 1) -> str:
    """A figure with a fixed number of digits, `–` when it is not known."""
    return _fixed(value, digits) if _is_number(value) else "–"


def signed(value: object, digits: int = 1) -> str:
    """A difference with its sign, `–` when it is not known."""
    return _fixed(value, digits, "+") if _is_number(value) else "–"


def rate(value: object) -> str:
    """A learning rate in the shortest of the usual notations: 2e-4, 1.5e-5, 0."""
    if not _is_number(value):
        return "–"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def speed(tokens: object) -> str:
    """Tokens in a second, two digits or three: 8.4 tok/s, 950 tok/s, 1.2k tok/s."""
    if not _is_number(tokens):
        return "–"
    value, unit = (float(tokens), "") if tokens < 999.5 else (tokens / 1_000, "k")
    if value >= 999.5:
        value, unit = value / 1_000, "M"
    if value >= 999.5:
        return f"{value:.3g}{unit} tok/s"
    return f"{value:.{1 if value < 9.95 else 0}f}{unit} tok/s"


def mebibytes(count: object) -> str:
    """An amount of memory given in MiB, in decimal units as everywhere: 5.3 GB."""
    return data_size(count * 2**20) if _is_number(count) else "–"


def celsius(degrees: object) -> str:
    """A temperature: 71 °C."""
    return f"{_fixed(degrees, 0)} °C" if _is_number(degrees) else "–"


def odds(evidence: object) -> str:
    """An e-value as odds against chance: 25 : 1, 0.4 : 1, over a million : 1."""
    if not isinstance(evidence, (int, float)) or math.isnan(evidence):
        return "–"
    if evidence > 1_000_000:
        return "over a million : 1"
    return f"{evidence:,.0f} : 1" if evidence >= 10 else f"{evidence:.2g} : 1"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun: 1 pair, 2 pairs, 1,200 examples."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def _fixed(value: float, digits: int, sign: str = "") -> str:
    """With that many digits behind the point, but no more than the screen has room for before it."""
    return f"{value:{sign}.{digits}f}" if abs(value) < _DIGITS else f"{value:{sign}.3g}"


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
