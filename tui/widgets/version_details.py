"""Everything that is known of one version, as text in sections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from textual.content import Content

from core.prove.forgetting import findings
from storage.deployments import ALIAS_CHECK
from storage.rows import VersionRow
from tui.tabs import key_of
from tui.text import safe
from tui.versions.views import ModelsView
from tui.widgets.proof_list import proof_content
from tui.widgets.timeline import timeline
from tui.words import ago, clock, data_size, number, percent, signed

_SENT: Final = "sent"  # the hash of what was sent, which is no check
_METRICS: Final[Mapping[str, tuple[str, Callable[[Any], str]]]] = {
    "mean_score": ("mean score", number),
    "success_rate": ("pass rate", percent),
    "generic_share": ("generic", percent),
    "tokens_per_second": ("tokens/s", number),
    "n": ("held-out prompts", str),
}


_TAKEN: Final = ("considered", "eligible", "train", "validation", "test", "corrections")
_GROUPS: Final = {"held_back": "held back", "stages": "difficulty", "tiers": "tiers"}


def short_figures(version: VersionRow) -> str:
    """The figures that fit behind a version's name: mean score and pass rate."""
    score, success = version.metrics.get("mean_score"), version.metrics.get("success_rate")
    return f"{number(score)} · {percent(success)}" if score is not None else ""


def disk_line(view: ModelsView) -> str:
    """How much disk all versions take, and what a clean-up would free of it."""
    freed = sum(view.freed.values())
    return f"{data_size(view.disk)} on the disk" + (f", {data_size(freed)} to free" if freed else "")


def details(version: VersionRow, view: ModelsView, *, now: float) -> Content:
    """Standing, figures, forgetting, A/B test, files, proof, data, settings, what served when."""
    parts = [_head(version, view, now)]
    for title, body in (
        ("Figures on held-out prompts", _figures(version.metrics)),
        ("Forgetting", _forgetting(version.metrics)),
        ("A/B test", _test(version, view)),
        ("Files", _files(version, view)),
        ("Ollama", _held(version, view)),
        ("Proof", proof_content(version.proof)),
        ("What it was trained on", _data(version, view)),
        ("Settings", _pairs(version.settings)),
    ):
        if body.plain:
            parts.append(Content.assemble(("\n" + title + "\n", "bold $text-accent"), body))
    served = timeline(view, now=now, category=version.category)
    if served.plain:
        parts.append(Content.assemble(("\nWhat served when\n", "bold $text-accent"), served))
    return Content("\n").join(parts)


def _head(version: VersionRow, view: ModelsView, now: float) -> Content:
    alias = view.production.get(version.id)
    proved = ("✓ proved", "$text-success") if version.proved else ("✗ not proved: it cannot be promoted", "$text-error")
    if version.retired_at is not None:
        proved = ("files removed: it cannot be promoted", "$text-muted")
    standing = Content("not in production")
    if alias:
        standing = Content.assemble(("★ in production", "bold $text-success"), " as ", safe(alias))
    origin = f"from {view.name(version.parent_id)}" if version.parent_id is not None else "the untouched base model"
    run = f" · run {version.run_id}" if version.run_id is not None else ""
    return Content.assemble(
        standing, " · ", proved, "\n",
        safe(f"{origin}{run} · made {clock(version.created_at)} ({ago(version.created_at, now)})"),
    )  # fmt: skip


def _figures(metrics: Mapping[str, Any]) -> Content:
    known = [f"{label} {form(metrics[key])}" for key, (label, form) in _METRICS.items() if key in metrics]
    return Content(" · ".join(known)) if known else Content.styled("Not evaluated.", "$text-muted")


def _forgetting(metrics: Mapping[str, Any]) -> Content:
    marks = {True: ("⚠ ", "$text-warning"), False: ("✓ ", "$text-success"), None: ("· ", "$text-muted")}
    found = (Content.assemble(marks[finding.forgot], safe(finding.text)) for finding in findings(metrics))
    return Content("\n").join(found)


def _test(version: VersionRow, view: ModelsView) -> Content:
    test = view.tests.get(version.id)
    if test is None:
        return Content(
            "" if version.number == 0 else f"None yet. {key_of('scoreboard')} opens the scoreboard, where a runs one."
        )
    result = view.pooled.get(test.id) or test.result
    if result is None:
        return safe(f"unfinished, against {view.name(test.version_a)}")
    rate = percent(result.get("win_rate"), 1)
    return safe(
        f"against {view.name(test.version_a)}: {result.get('verdict', '')} · win rate {rate}"
        f" · score {signed(result.get('difference'))} on {result.get('n', 0)} prompts"
    )


def _files(version: VersionRow, view: ModelsView) -> Content:
    listed, room = _listed(version), _room(version, view)
    return Content("\n").join([listed, safe(room, "$text-muted")]) if room else listed


def _room(version: VersionRow, view: ModelsView) -> str:
    """What the folder takes on the disk, and what a clean-up would do with it."""
    if not view.sizes.get(version.id):
        return ""
    told = f"{data_size(view.sizes[version.id])} on the disk in all"
    if version.id in view.freed:
        return f"{told}; `finetune-tui models --clean-up` would free {data_size(view.freed[version.id])} of it"
    return told + (f"; a clean-up leaves it: {view.kept[version.id]}" if version.id in view.kept else "")


def _listed(version: VersionRow) -> Content:
    files = version.gguf
    if not files and version.retired_at is not None:
        told = f"Removed on {clock(version.retired_at)} to save space: it cannot serve or be compared. "
        return Content.styled(f"{told}Its adapter is kept; a training can go on from it.", "$text-muted")
    if not files:
        return Content.styled("No GGUF file.", "$text-muted")
    width = max(len(kind) for kind in files)
    return Content("\n").join(
        safe(f"{kind:<{width}}  {data_size(float(file.get('bytes') or 0)):>8}  {file.get('path', '')}")
        for kind, file in files.items()
    )


def _held(version: VersionRow, view: ModelsView) -> Content:
    """What Ollama was given of it, the names under which it answers there, and what was checked of that."""
    lines = []
    for held in view.deployed:
        if held.version_id != version.id:
            continue
        names = [held.name, *(str(check["detail"]) for check in held.checks if check.get("name") == ALIAS_CHECK)]
        checks = [check for check in held.checks if check.get("name") not in (ALIAS_CHECK, _SENT)]
        failed = [str(check.get("name")) for check in checks if not check.get("passed")]
        mark, style = ("✗ differ", "$text-error") if failed else ("✓ agree", "$text-success")
        told = ", ".join(failed or [str(check.get("name")) for check in checks])
        lines.append(safe(f"{' and '.join(names)} at {held.server}, Ollama {held.server_version}"))
        lines.append(
            Content.styled(f"{mark}  ", style) + safe(f"{told} · given {clock(held.published_at)}", one_line=True)
        )
    return Content("\n").join(lines)


def _data(version: VersionRow, view: ModelsView) -> Content:
    dataset = view.datasets.get(version.dataset_id) if version.dataset_id is not None else None
    if dataset is None:
        return Content("")
    return Content.assemble(
        safe(f"dataset {dataset.id}, seed {dataset.seed}, hash {dataset.hash} · e shows every example"),
        "\n",
        count_lines(dataset.counts),
    )


def count_lines(counts: Mapping[str, Any]) -> Content:
    """The counts of a selection: what was taken, then what was held back and why, then its mix."""
    taken = {name: counts[name] for name in _TAKEN if name in counts}
    lines = [_pairs(taken)] if taken else []
    for key, title in _GROUPS.items():
        group = counts.get(key)
        if isinstance(group, Mapping) and group:
            lines.append(Content.assemble((f"{title}: ", "$text-muted"), _pairs(group)))
    return Content("\n").join(lines)


def _pairs(values: Mapping[str, Any]) -> Content:
    return safe(" · ".join(f"{_label(key)} {_value(value)}" for key, value in values.items()))


def _label(key: str) -> str:
    return str(key).replace("_", " ")


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
