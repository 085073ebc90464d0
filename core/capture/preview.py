"""What an import would do, without doing it: the format of each source, its mapping, and the first outputs as they
would be stored."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from core.capture.formats.parts import RowError
from core.capture.import_rows import ImportOptions, taken
from core.capture.importing import plan_import
from core.capture.prepare import Preparer
from core.capture.record import Recorder
from core.errors import FinetuneError

SAMPLES: Final = 10
_LOOKED_AT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One output as it would be stored; with `problem` it would be refused."""

    line: int
    prompt: str = ""
    response: str = ""
    category: str = ""
    model: str = ""
    score: float | None = None
    tier: str = ""
    verdict: str | None = None
    correction: str | None = None
    replaced: Mapping[str, int] | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SourcePreview:
    """One source: `rows` were looked at (the first 1,000), `refused` of them would be rejected."""

    name: str
    format: str
    title: str
    mapping: Mapping[str, str]
    samples: tuple[Sample, ...]
    rows: int
    refused: int
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a path holds; `left_out` maps each source of no known format to the reason."""

    path: Path
    sources: tuple[SourcePreview, ...]
    left_out: Mapping[str, str]

    def to_mapping(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"path": str(self.path)}


def preview(recorder: Recorder, path: Path, options: ImportOptions) -> Preview:
    """Reads the start of every source. Raises FinetuneError when nothing in it can be imported."""
    plan = plan_import(path, options)
    # A secret of its own: a look at a file leaves nothing in the store.
    preparer = Preparer(recorder.config.capture, recorder.categories, secrets.token_bytes(32))
    now = time.time()
    found: list[SourcePreview] = []
    for source, format in plan.chosen:
        samples: list[Sample] = []
        reasons: Counter[str] = Counter()
        rows = refused = 0
        for row, lessons in islice(format.lessons(source), _LOOKED_AT):
            rows += 1
            one = taken(source.name, format.name, row, lessons, options)
            made = [_sample(preparer, each, row.number, now) for each in one.incoming]
            problems = [one.lessons.message] if isinstance(one.lessons, RowError) else [each.problem for each in made]
            if all(problems):
                refused += 1
                reasons[problems[0][:200]] += 1
                made = made or [Sample(row.number, problem=problems[0])]
            samples += made[: SAMPLES - len(samples)]
        found.append(
            SourcePreview(
                source.name,
                format.name,
                format.title,
                dict(format.mapping),
                tuple(samples),
                rows,
                refused,
                dict(reasons.most_common(5)),
            )
        )
    return Preview(path, tuple(found), plan.left_out)


def _sample(preparer: Preparer, incoming: Any, line: int, now: float) -> Sample:
    try:
        one = preparer.prepare(incoming, now)
    except FinetuneError as error:
        return Sample(line, problem=str(error))
    event = one.event
    return Sample(
        line,
        event.prompt,
        event.response,
        event.category,
        event.model,
        event.score,
        event.tier,
        one.said.verdict,
        one.said.correction,
        dict(event.sanitized),
    )
