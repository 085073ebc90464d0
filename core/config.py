"""The settings of a home folder: defaults here, overrides from its `config.toml`.

Every number of the product that a user may want to change is a field of one of these sections. Only the standard
library is used, so that reading the settings costs next to nothing.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import ConfigError

if TYPE_CHECKING:
    from core.paths import Home

SECTIONS_ELSEWHERE: Final = frozenset({"categories", "hooks"})


def _number(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _choice(default: str, *allowed: str) -> Any:
    return field(default=default, metadata={"allowed": allowed})


@dataclass(frozen=True, slots=True)
class General:
    """`prefix` starts the names of versions and aliases; `author` is written beside a promotion."""

    prefix: str = field(default="ft", metadata={"name": True})
    author: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """`max_chars` is the longest text taken in one field, `retention` the most events kept in one category."""

    sanitize: bool = True
    max_chars: int = _number(1_000_000, 1_000, 100_000_000)
    retention: int = _number(50_000, 100, 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Select:
    """The constants of the learning components. Days, shares 0-1, similarities 0-1.

    `embeddings` is "auto" (a sentence-transformers model that is on this machine already, else none), "none", the
    folder of such a model, or a GGUF file. `curriculum`, `active`, `augmentation`, `preferences` and `hard_negatives`
    switch those components. `augment_methods` is "all" or some of synonym, paraphrase, context, order, model and
    back_translation; `augment_model` is a GGUF file for the last two, without one only rules are applied.
    """

    reward: str = _choice("tanh", "tanh", "bucket")
    decay_per_day: float = _number(0.95, 0.5, 1.0)
    difficulty_weight: float = _number(1.5, 0.0, 10.0)
    balance_at: int = _number(100, 1, 1_000_000)
    min_reward: float = _number(0.3, -1.0, 1.0)
    min_score: float = _number(70.0, 0.0, 100.0)
    near_duplicate: float = _number(0.9, 0.5, 1.0)
    uncertainty_weight: float = _number(0.4, 0.0, 1.0)
    diversity_weight: float = _number(0.3, 0.0, 1.0)
    quality_weight: float = _number(0.3, 0.0, 1.0)
    held_out_percent: int = _number(20, 1, 90)
    max_test: int = _number(200, 1, 100_000)
    max_validation: int = _number(100, 1, 100_000)
    curriculum: bool = False
    active: bool = True
    weigh_by_reward: bool = True
    embeddings: str = "auto"
    hard_negatives: bool = True
    hard_share: float = _number(0.35, 0.0, 1.0)
    max_retests: int = _number(100, 0, 100_000)
    preferences: bool = False
    candidates: int = _number(4, 2, 5)
    min_margin: float = _number(0.1, 0.0, 1.0)
    augmentation: bool = False
    augment_factor: int = _number(2, 1, 5)
    augment_floor: float = _number(0.6, 0.0, 1.0)
    augment_ceiling: float = _number(0.97, 0.0, 1.0)
    augment_methods: str = "synonym, paraphrase, context, model"
    augment_model: str = ""
    replay_share: float = _number(0.25, 0.0, 0.9)


@dataclass(frozen=True, slots=True)
class Train:
    """`base_model` is a preset's name or a folder; `settings` holds the other keys of the section as they were written.

    They are those of `core.train.config.TrainSettings`, which checks them and knows their defaults.
    """

    base_model: str = "demo"
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publish:
    """The sampling parameters that a published model carries, and that both arms of an A/B test use.

    `stop` lists strings that end an answer beside the model's own end tokens. `keep_versions` is how many of the newest
    versions of a category keep their files besides what serves and what served before it; 0 keeps all.
    """

    temperature: float = _number(0.3, 0.0, 5.0)
    top_p: float = _number(0.9, 0.01, 1.0)
    top_k: int = _number(40, 0, 100_000)
    num_ctx: int = _number(4096, 64, 10_000_000)
    repeat_penalty: float = _number(1.0, 0.1, 10.0)
    max_tokens: int = _number(512, 1, 1_000_000)
    stop: tuple[str, ...] = ()
    keep_versions: int = _number(5, 0, 1_000_000)


@dataclass(frozen=True, slots=True)
class Ab:
    """When a candidate may be promoted: tests, share of wins, evidence (e-value), latency ratio, allowed loss.

    With `forgetting` a candidate that has forgotten what is watched during training is not promoted.
    """

    min_tests: int = _number(100, 1, 1_000_000)
    min_win_rate: float = _number(0.65, 0.0, 1.0)
    evidence: float = _number(20.0, 1.0, 1e9)
    latency_ratio: float = _number(1.5, 1.0, 100.0)
    success_margin: float = _number(0.05, 0.0, 1.0)
    forgetting: bool = True


@dataclass(frozen=True, slots=True)
class Loop:
    """What happens by itself: with `auto_promote` a run promotes its version when the A/B test says so,
    with `auto_rollback` one that does worse in production than the version before is rolled back.

    The worker trains by itself with `auto_train`, when `policy` says so; with `incremental` a new version goes on from
    the adapter of the one before. It looks at a category `settle_seconds` after its last new event, and at everything
    each `check_seconds`. A run that failed is taken up again after `backoff_seconds`, doubled each time, until it was
    tried `max_attempts` times.
    """

    auto_train: bool = True
    auto_promote: bool = False
    auto_rollback: bool = True
    policy: str = _choice("adaptive", "adaptive", "fixed", "tiered")
    incremental: bool = True
    settle_seconds: float = _number(5.0, 0.0, 86_400.0)
    check_seconds: float = _number(3_600.0, 1.0, 604_800.0)
    backoff_seconds: float = _number(300.0, 0.0, 604_800.0)
    max_attempts: int = _number(5, 1, 100)


@dataclass(frozen=True, slots=True)
class Search:
    """`storage` is where searches lie that several processes or machines share; empty for the home folder's own.

    See `core.search.places` for what it may be.
    """

    storage: str = field(default="", repr=False)  # it may hold a password


@dataclass(frozen=True, slots=True)
class Serve:
    """The gateway (`finetune-tui serve`) and the server behind it.

    `backend` is where versions are served: "ollama", "embedded" (llama.cpp inside this program), or "auto": Ollama
    where it answers. `ollama` is its URL, empty for OLLAMA_HOST or the usual place. `token` is asked of every caller,
    and has to be set where `host` is not this machine alone. `hosts` and `origins` are names and web origins that are
    let in beside this machine's own. `category` takes what no alias, version or header assigns; empty leaves it
    unrecorded. `shadow_share` (0-1) of the requests are also answered by the candidate, when nobody waits; at most
    `shadow_queue` wait for that. `queue` is how many requests may wait for the embedded server. `max_body_mb` limits a
    request.
    """

    host: str = "127.0.0.1"
    port: int = _number(11_435, 0, 65_535)
    backend: str = _choice("auto", "auto", "ollama", "embedded")
    ollama: str = ""
    token: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    category: str = ""
    record: bool = True
    shadow_share: float = _number(0.2, 0.0, 1.0)
    shadow_queue: int = _number(256, 0, 100_000)
    queue: int = _number(64, 1, 10_000)
    max_body_mb: int = _number(64, 1, 4_096)


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, section by section."""

    general: General = General()
    capture: Capture = Capture()
    select: Select = Select()
    train: Train = field(default_factory=Train)
    publish: Publish = Publish()
    ab: Ab = Ab()
    loop: Loop = Loop()
    search: Search = Search()
    serve: Serve = Serve()


def load_config(home: Home) -> Config:
    """The settings of a home folder; without a `config.toml` the defaults.

    Raises ConfigError naming the file, the key and what is allowed.
    """
    return config_from(read_toml(home.config), home.config)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, or none when it does not exist. Raises ConfigError when it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not written in UTF-8.", hint="Save it as UTF-8.") from error
    except (ValueError, RecursionError) as error:  # not TOML, a number of thousands of digits, brackets nested too deep
        raise ConfigError(f"{path}: {error}.", hint="Correct that line, or move the file away.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.", hint="Check the file.") from error


def config_from(tables: Mapping[str, Any], path: Path) -> Config:
    """The settings from parsed tables; `path` is only named in errors."""
    known = {entry.name: getattr(Config(), entry.name) for entry in fields(Config)}
    sections: dict[str, Any] = {}
    for name, table in tables.items():
        if name in SECTIONS_ELSEWHERE:
            continue
        if name not in known:
            raise ConfigError(f"{path}: [{name}] is no section.", hint=close_names(name, {*known, *SECTIONS_ELSEWHERE}))
        if not isinstance(table, Mapping):
            brackets = " in single brackets" if isinstance(table, list) else ""
            raise ConfigError(f"{path}: `{name}` must be a section.", hint=f"Write [{name}]{brackets} above its keys.")
        if name == "train":
            sections[name] = _train_from(table, f"{path}: {name}")
        else:
            sections[name] = section_from(known[name], table, f"{path}: {name}")
    return Config(**sections)


def section_from(defaults: Any, table: Mapping[str, Any], where: str) -> Any:
    """`defaults` (a section) with the keys of `table` laid over it, each checked for type and range."""
    known = {entry.name: entry for entry in fields(defaults)}
    values = {name: getattr(defaults, name) for name in known}
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{where}.{key} is no setting.", hint=close_names(key, known))
        values[key] = _checked(value, values[key], known[key].metadata, f"{where}.{key}")
    return type(defaults)(**values)


def _train_from(table: Mapping[str, Any], where: str) -> Train:
    base = _checked(table.get("base_model", Train().base_model), "", {}, f"{where}.base_model")
    return Train(base, {key: value for key, value in table.items() if key != "base_model"})


def close_names(name: str, known: Mapping[str, Any] | set[str]) -> str:
    """A hint: the names most like `name`, or all of them."""
    near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known are: {', '.join(sorted(known))}."


def _checked(value: Any, default: Any, limits: Mapping[str, Any], where: str) -> Any:
    shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…"
    wrong = f"{where} is {shown}, but must be "
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigError(f"{wrong}true or false.", hint="Write it without quotes.")
        return value
    if isinstance(default, str):
        return _checked_text(value, limits, wrong)
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise ConfigError(f"{wrong}a list of texts.", hint='Write it as ["…", "…"].')
        return tuple(value)
    low, high = limits["low"], limits["high"]
    kind = "a whole number" if isinstance(default, int) else "a number"
    fits = isinstance(value, int) if isinstance(default, int) else isinstance(value, int | float)
    if isinstance(value, bool) or not fits or not low <= value <= high:
        raise ConfigError(f"{wrong}{kind} from {low:g} to {high:g}.", hint="Correct the value or remove the line.")
    return type(default)(value)


def _checked_text(value: Any, limits: Mapping[str, Any], wrong: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{wrong}text in quotes.", hint='Write it as "…".')
    allowed = limits.get("allowed", ())
    if allowed and value not in allowed:
        raise ConfigError(f"{wrong}one of: {', '.join(allowed)}.", hint="Choose one of these.")
    if limits.get("name") and not (value.isascii() and value.isalnum() and value == value.lower()):
        raise ConfigError(f"{wrong}made of the letters a-z and digits.", hint='For example "ft".')
    return value
