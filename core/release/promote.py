"""What serves: pointing a category's alias at a version, back, and taking that back; always one truth after a kill."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from core.config import Config
from core.errors import ConflictError, ProofError
from core.paths import Home
from core.release.files import version_problem
from core.release.registry import STAGING, base_of
from storage import ab_tests, aliases, outbox, versions
from storage.db import Store
from storage.rows import AbTestRow, AliasAction, AliasChange, VersionRow


def alias_name(config: Config, category: str) -> str:
    """The name that applications call: `ft-erd`."""
    return f"{config.general.prefix}-{category}"


def serving(store: Store, config: Config, category: str) -> VersionRow | None:
    """The version that the category's alias points at, or None before the first promotion."""
    alias = aliases.get(store, alias_name(config, category))
    return versions.get(store, alias.version_id) if alias else None


def promotable(store: Store, home: Home, config: Config, version_id: int, *, thorough: bool = True) -> VersionRow:
    """The version, if it may serve and does not yet.

    Raises ProofError when its file is not proved, missing or (looked for with `thorough`) no longer what was proved,
    ConflictError when it serves already, NotFoundError when there is no such version.
    """
    version = versions.get(store, version_id)
    alias = aliases.get(store, alias_name(config, version.category))
    if alias is not None and alias.version_id == version_id:
        raise ConflictError(f"{version.name} serves {version.category} already.", title="Nothing to promote")
    problem = version_problem(home, version, thorough=thorough)
    if problem is not None:
        raise ProofError(
            f"{problem}.",
            title=f"{version.name} may not serve",
            hint="Resume its run to export and prove it again, or promote another version.",
        )
    return version


def promote(
    store: Store,
    home: Home,
    config: Config,
    version_id: int,
    *,
    who: str,
    why: str,
    evidence: Mapping[str, Any],
    now: float,
    thorough: bool = True,
) -> AliasChange:
    """Lets a version serve its category; on the disk when the call returns. Raises as `promotable` does.

    Without `thorough` its file is not read once more.
    """
    if thorough:
        promotable(store, home, config, version_id)
    with store.transaction(durable=True):
        # The clean-up or another promotion may have been faster.
        version = promotable(store, home, config, version_id, thorough=False)
        name = alias_name(config, version.category)
        _point(store, name, version, "promote", who=who, why=why, evidence=evidence, now=now)
        return aliases.history(store, name)[0]


def rollback(
    store: Store,
    home: Home,
    config: Config,
    category: str,
    *,
    who: str,
    why: str,
    now: float,
    evidence: Mapping[str, Any] | None = None,
    after: int | None = None,
) -> AliasChange:
    """Lets the version before the one that serves serve again; before the first promoted one stands the base.

    With `after` only while that change of the alias (its id) is still the newest one, so that two who have seen the
    same reason roll back once. Raises ConflictError when it is not, or nothing stands before; ProofError when the file
    of the one before is damaged.
    """
    name = alias_name(config, category)
    with store.transaction(durable=True):
        if after is not None and [change.id for change in aliases.history(store, name)[:1]] != [after]:
            raise ConflictError(f"{name} was changed meanwhile.", hint="`finetune-tui watch` shows how it stands.")
        current = serving(store, config, category)
        if current is None:
            raise _nothing(category, "Nothing was promoted", "roll back")
        before = served_before(store, name, current)
        if before is None:
            raise _nothing(category, f"{current.name} serves, and nothing served before it", "roll back")
        _check_files(home, before)
        _point(store, name, before, "rollback", who=who, why=why, evidence=evidence or {}, now=now)
        return aliases.history(store, name)[0]


def undo(store: Store, home: Home, config: Config, category: str, *, who: str, now: float) -> AliasChange | None:
    """Takes back the last promotion or rollback that still stands; None when there is none.

    Undoing the first promotion leads to the untouched base. Raises ProofError when the file to go back to is damaged.
    """
    name = alias_name(config, category)
    with store.transaction(durable=True):
        change = aliases.last_undoable(store, name)
        if change is None:
            return None
        target = served_without(store, change)
        if target is None:
            raise _nothing(category, "The base model was never exported", "undo")
        _check_files(home, target)
        why = f"took back: {change.action}" + (f" ({change.why})" if change.why else "")
        _point(store, name, target, "undo", who=who, why=why, evidence={}, now=now, undoes=change)
        return aliases.history(store, name)[0]


def _point(
    store: Store,
    name: str,
    version: VersionRow,
    action: AliasAction,
    *,
    who: str,
    why: str,
    evidence: Mapping[str, Any],
    now: float,
    undoes: AliasChange | None = None,
) -> None:
    """Points the alias at a version and publishes it, both or neither."""
    with store.transaction(durable=True):
        before = aliases.get(store, name)
        aliases.point(
            store,
            name=name,
            category=version.category,
            to_version=version.id,
            action=action,
            who=who,
            why=why,
            evidence=evidence,
            now=now,
            undoes=undoes.id if undoes else None,
        )
        told = {
            **outbox.of_version(store, version.id),
            "alias": name,
            "from": versions.get(store, before.version_id).name if before else None,
            "to": version.name,
            "who": who,
            "why": why,
            "summary": evidence.get("summary"),
            "verdict": evidence.get("verdict"),
            "evidence": outbox.figures(evidence),
            "undo": action == "undo",
            "reconcile": action == "reconcile",
        }
        forward = action == "promote" or (undoes is not None and undoes.action == "rollback")
        event: outbox.EventName = "fine_tuning.promoted" if forward else "fine_tuning.rolled_back"
        outbox.publish(store, event, version.category, told, now=now)


def announce_ready(store: Store, test: AbTestRow, *, now: float) -> None:
    """Publishes, once for each test, that the candidate of a finished test may be promoted if the verdict says so."""
    if (test.result or {}).get("verdict") != "promote":
        return
    with store.transaction(durable=True):
        if not outbox.is_told(store, "fine_tuning.ready_for_promotion", "test_id", test.id):
            told = ab_tests.published(store, test)
            outbox.publish(store, "fine_tuning.ready_for_promotion", test.category, told, now=now)


def _check_files(home: Home, version: VersionRow, *, thorough: bool = True) -> None:
    problem = version_problem(home, version, thorough=thorough)
    if problem is not None:
        raise ProofError(
            f"{problem}.", title=f"{version.name} may not serve", hint="Promote another version by its name instead."
        )


def _nothing(category: str, what: str, verb: str) -> ConflictError:
    return ConflictError(
        f"{what}, so there is nothing to {verb} in {category}.",
        title=f"Nothing to {verb}",
        hint="`finetune-tui models` shows what there is.",
    )


def served_without(store: Store, change: AliasChange) -> VersionRow | None:
    """Where an undo of a change leads: what served before it, else the untouched base, None where that has no file."""
    if change.from_version is not None:
        return versions.get(store, change.from_version)
    promoted = versions.get(store, change.to_version)
    return base_of(store, promoted.category, promoted.base_model)


def serving_stack(history: Sequence[AliasChange]) -> list[int]:
    """The versions that a chain of rollbacks would visit, the one that serves last; `history` is newest first.

    A promotion adds, a rollback removes, an undo restores what stood before the change that it takes back.
    """
    stack: list[int] = []
    before: dict[int, list[int]] = {}
    for change in reversed(history):
        before[change.id] = list(stack)
        if change.action == "undo" and change.undoes in before:
            stack = list(before[change.undoes])
        elif change.action != "promote":
            stack = stack[:-1]
        if not stack or stack[-1] != change.to_version:
            stack.append(change.to_version)
    return stack


def served_before(store: Store, name: str, current: VersionRow) -> VersionRow | None:
    """Where a rollback of the alias leads while `current` serves: the version before it, else its untouched base."""
    stack = serving_stack(aliases.history(store, name))
    if len(stack) > 1:
        return versions.get(store, stack[-2])
    base = base_of(store, current.category, current.base_model)
    return None if base is None or base.id == current.id else base


def reconcile(store: Store, home: Home, config: Config, *, now: float) -> list[str]:
    """Brings store and files to one truth after a kill; says in words what was done. Cheap where all is well.

    An alias whose version has no whole file any more goes back to the one before that has; folders that were being
    written by a process that is gone, or stand without a row, are removed.
    """
    done: list[str] = []
    for alias in aliases.list_aliases(store):
        current = versions.get(store, alias.version_id)
        problem = version_problem(home, current, thorough=False)
        if problem is None:
            continue
        for earlier in _fallbacks(store, alias.name, current):
            if version_problem(home, earlier, thorough=False) is None:
                _point(store, alias.name, earlier, "reconcile", who="finetune-tui", why=problem, evidence={}, now=now)
                done.append(f"{alias.name} serves {earlier.name} again, because {problem}.")
                break
        else:
            done.append(f"{alias.name} cannot serve: {problem}, and no earlier version is whole.")
    if not _leftovers(store, home):
        return done
    # Versions are renamed into place inside a write transaction, so that none can appear during this one.
    with store.transaction():
        for folder in _leftovers(store, home):
            shutil.rmtree(folder, ignore_errors=True)
            done.append(f"Removed {home.relative(folder)}, which was never finished.")
    return done


def _fallbacks(store: Store, name: str, current: VersionRow) -> list[VersionRow]:
    """What served before, nearest first, then the base."""
    found = [versions.get(store, number) for number in reversed(serving_stack(aliases.history(store, name))[:-1])]
    base = base_of(store, current.category, current.base_model)
    return [version for version in (*found, *([base] if base else [])) if version.id != current.id]


def _leftovers(store: Store, home: Home) -> list[Path]:
    """Folders under models/<base>/<category>/ that count for nothing."""
    known = {home.resolve(version.folder) for version in versions.list_versions(store)}
    found: list[Path] = []
    for folder in sorted(home.models.glob("*/*/*")):
        # models/base holds downloaded base models, not versions.
        if not folder.is_dir() or folder.is_symlink() or folder.parent.parent.name == "base" or folder in known:
            continue
        name = folder.name
        if name.startswith(STAGING):
            pid = name.removeprefix(STAGING).partition("-")[0]
            if not (pid.isdigit() and psutil.pid_exists(int(pid))):
                found.append(folder)
        elif name[:1] == "v" and name[1:].isdigit():
            found.append(folder)
    return found
