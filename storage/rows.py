"""What storage hands out: frozen rows, never live handles.

Times are seconds since the epoch (UTC); scores are 0-100; quality and probabilities are 0-1; JSON arrives parsed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

FeedbackType = Literal[
    "success", "user_correction", "validation_failure", "explicit_positive", "explicit_negative", "neutral"
]
Tier = Literal["gold", "silver", "bronze", "rejected"]
Verdict = Literal["good", "bad", "correct", "reject", "skip"]
Opinion = Literal["good", "bad", "reject", "skip"]
"""A verdict that needs no text of its own."""
JudgmentKind = Literal["good", "bad", "correct", "reject", "skip", "move", "undo", "redo"]
Split = Literal["train", "validation", "test"]
RunStatus = Literal["queued", "running", "stopped", "finished", "failed", "lost"]
RunStage = Literal["queued", "training", "evaluating", "exporting", "proving", "testing", "done"]
RunOrigin = Literal["manual", "adaptive"]
AliasAction = Literal["promote", "rollback", "undo", "reconcile"]
TestSource = Literal["stored", "shadow"]
Winner = Literal["a", "b", "tie"]

RESUMABLE: frozenset[str] = frozenset({"stopped", "failed", "lost"})


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One model output about to be stored, already sanitised, validated, scored and tiered.

    `verdict`, `correction` and `judged_at` copy the judgment that is added to the log in the same transaction.
    """

    created_at: float
    category: str
    model: str
    prompt: str
    response: str
    content_hash: str
    prompt_hash: str
    bucket: int
    feedback_type: FeedbackType
    score: float | None
    valid: bool
    quality: float
    tier: Tier
    generic: bool = False
    confidence: float | None = None
    system: str = ""
    context: str = ""
    source: str = "api"
    group_key: str = ""
    latency_ms: float | None = None
    findings: Sequence[Mapping[str, Any]] = ()
    quality_parts: Mapping[str, float] = field(default_factory=dict)
    sanitized: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = field(default_factory=list)
    verdict: Verdict | None = None
    correction: str | None = None
    judged_at: float | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """A stored event with its current verdict (derived from the judgments)."""

    id: int
    created_at: float
    category: str
    model: str
    prompt: str
    response: str
    content_hash: str
    prompt_hash: str
    bucket: int
    feedback_type: FeedbackType
    score: float | None
    valid: bool
    quality: float
    tier: Tier
    generic: bool
    confidence: float | None
    system: str
    context: str
    source: str
    group_key: str
    latency_ms: float | None
    findings: Sequence[Mapping[str, Any]]
    quality_parts: Mapping[str, float]
    sanitized: Mapping[str, int]
    metadata: Mapping[str, Any]
    verdict: Verdict | None
    correction: str | None
    judged_at: float | None
    history: Sequence[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EventSummary:
    """One line of a list; `prompt` and `response` are cut to 200 characters."""

    id: int
    created_at: float
    category: str
    model: str
    prompt: str
    response: str
    score: float | None
    tier: Tier
    feedback_type: FeedbackType
    verdict: Verdict | None


ConditionField = Literal[
    "id", "created_at", "score", "quality", "category", "tier", "model", "source", "finding", "state", "has"
]
Comparison = Literal["=", "<", "<=", ">", ">=", "between"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a column: any of `values` makes it hold; with `negated` none of them may.

    Bounds are numbers: one for `<` or `>`, the lowest and the highest for `between`. Texts: `category` and `source`
    must equal a value or, where it ends in `*`, begin with it; `model` must contain it; `finding` is the kind or the
    severity of one of the findings. `state` and `has` take the names in `storage.search.STATES` and `.PARTS`. An event
    without a score passes no bound on the score, and every negated one.
    """

    field: ConditionField
    operator: Comparison
    values: tuple[str | float, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class TextTerm:
    """Words to be found in `column`, or in prompt or response alike. A `phrase` must occur as it stands; a last word
    of three letters or more that is none may be unfinished."""

    text: str
    column: Literal["prompt", "response"] | None = None
    phrase: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: every field that is set must hold. `verdict="pending"` means never judged.

    `since` (inclusive) and `until` (exclusive) are seconds since the epoch; `tiers` lists the tiers that pass. Each of
    `conditions` and `terms` must hold; `text` is the same as a term that is no phrase.
    """

    category: str | None = None
    verdict: Verdict | Literal["pending", "done"] | None = None
    tier: Tier | None = None
    text: str = ""
    max_score: float | None = None
    min_score: float | None = None
    tiers: tuple[Tier, ...] = ()
    min_quality: float | None = None
    model: str | None = None
    since: float | None = None
    until: float | None = None
    conditions: tuple[Condition, ...] = ()
    terms: tuple[TextTerm, ...] = ()


@dataclass(frozen=True, slots=True)
class CategoryCounts:
    """What a dashboard shows of one category. `recent` counts the last 30 days."""

    category: str
    total: int
    gold: int
    silver: int
    bronze: int
    rejected: int
    judged: int
    corrected: int
    pending: int
    recent: int
    mean_score: float | None
    mean_quality: float
    last_at: float


@dataclass(frozen=True, slots=True)
class JudgmentRow:
    """One line of the append-only log of human judgments; `target` is the row that an undo or redo acts on.

    `batch` is the first row of those that were said at once, `repeats` the judgment that was asked for again. A row of
    the kind "move" tells that the event was moved to another category.
    """

    id: int
    event_id: int
    created_at: float
    kind: JudgmentKind
    correction: str | None
    note: str
    seconds: float | None
    target: int | None
    batch: int | None = None
    repeats: int | None = None


@dataclass(frozen=True, slots=True)
class PairRow:
    """Prompt, chosen and rejected answer, with a `margin` of 0-1.

    `source` is correction, ranking, sibling, candidate or import.
    """

    id: int
    created_at: float
    category: str
    prompt: str
    chosen: str
    rejected: str
    margin: float
    source: str
    chosen_event: int | None
    rejected_event: int | None


@dataclass(frozen=True, slots=True)
class DatasetItem:
    """One example of a frozen dataset, in training order. `weight` is mean 1 over the train split.

    `origin` is `event`, `replay` (from the dataset of an older version) or the name of the augmentation that made it
    from its event. `event_id` is 0 for a preference that came without an event. `rejected` is the answer that `target`
    is preferred to, empty outside of pairs; `desirable` is False for an answer that a person disliked.
    """

    position: int
    event_id: int
    split: Split
    prompt: str
    target: str
    system: str
    weight: float
    difficulty: float
    stage: str
    history: Sequence[Mapping[str, Any]] = field(default_factory=list)
    origin: str = "event"
    rejected: str = ""
    desirable: bool = True


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A frozen selection. `hash` covers every item; `counts` tells what was taken and held back, and why."""

    id: int
    created_at: float
    category: str
    hash: str
    seed: int
    settings: Mapping[str, Any]
    counts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One training job. `folder` is relative to the home folder; `pid_started` tells a reused pid from the real one.

    `origin` tells whether a person or the worker asked for it, `attempts` how often a process has taken it up;
    `start_version` is the version whose adapter it goes on from, None for a fresh adapter.
    """

    id: int
    created_at: float
    category: str
    base_model: str
    method: str
    status: RunStatus
    stage: RunStage
    settings: Mapping[str, Any]
    dataset_id: int
    parent_version: int | None
    folder: str
    pid: int | None
    pid_started: float | None
    heartbeat: float | None
    stop_requested: bool
    started_at: float | None
    finished_at: float | None
    step: int
    total_steps: int
    error: str
    hint: str
    version_id: int | None
    origin: RunOrigin = "manual"
    attempts: int = 0
    start_version: int | None = None

    @property
    def preparing(self) -> bool:
        """Whether the untouched base model is exported and proved, which comes before the first step."""
        return self.stage == "exporting" and self.step == 0


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a run at a step: loss, eval_loss, score, learning_rate, tokens_per_second, memory_mb."""

    step: int
    name: str
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A model in the registry. Number 0 is the untouched base.

    `gguf` maps a quantisation name (`f16`, `q8_0`) to {"path" (relative to the home folder), "sha256", "bytes"}.
    `metrics` holds {"mean_score", "success_rate", "n", …} on the held-out split; `proof` the list of proof checks.
    `retired_at` is when its files were removed to save space.
    """

    id: int
    created_at: float
    name: str
    category: str
    base_model: str
    number: int
    run_id: int | None
    parent_id: int | None
    dataset_id: int | None
    folder: str
    gguf: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]
    proof: Sequence[Mapping[str, Any]]
    proved: bool
    code_version: str
    retired_at: float | None = None


@dataclass(frozen=True, slots=True)
class AliasRow:
    """The name that applications call, and the version that it points at."""

    name: str
    category: str
    version_id: int
    updated_at: float


@dataclass(frozen=True, slots=True)
class AliasChange:
    """One line of an alias's history. `undoes` is the change that an undo took back."""

    id: int
    alias: str
    at: float
    action: AliasAction
    from_version: int | None
    to_version: int
    who: str
    why: str
    evidence: Mapping[str, Any]
    undoes: int | None


@dataclass(frozen=True, slots=True)
class AbTestRow:
    """An A/B test: arm a is what serves today, arm b the candidate. `result` is None until it was evaluated.

    `source` is "stored" for prompts of the store, answered in one go, and "shadow" for requests of the gateway.
    """

    id: int
    created_at: float
    category: str
    version_a: int
    version_b: int
    seed: int
    settings: Mapping[str, Any]
    result: Mapping[str, Any] | None
    finished_at: float | None
    source: TestSource = "stored"


@dataclass(frozen=True, slots=True)
class AbPairRow:
    """Both arms' answers to one prompt. Latencies in seconds.

    `confidence` is the mean log-probability of an answer's tokens (nats), None where the server does not tell;
    `correct` whether an answer is the known right one, None where none is known. Without `judged` the validator could
    not tell, and both scores only stand in.
    """

    test_id: int
    position: int
    event_id: int | None
    prompt: str
    response_a: str
    response_b: str
    score_a: float
    score_b: float
    latency_a: float
    latency_b: float
    tokens_a: int
    tokens_b: int
    winner: Winner
    confidence_a: float | None = None
    confidence_b: float | None = None
    correct_a: bool | None = None
    correct_b: bool | None = None
    judged: bool = True
