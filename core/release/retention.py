"""Old versions give up their GGUF files, so that the disk does not fill; adapter, figures and history stay.

A version keeps its files while it serves, while a rollback or an undo would lead to it, while an open run or A/B test
uses it, and while it is one of the newest `publish.keep_versions` of its category; an untouched base always does.

The store first says that the files are gone, then they are removed. A kill in between leaves files that nobody refers
to, which the next clean-up finds by their names; the other way round the store would promise files that are not there.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from core.release.ollama_turns import turn
from core.release.promote import alias_name, serving_stack
from core.release.registry import base_of
from storage import ab_tests, aliases, deployments, version_uses, versions
from storage.db import Store
from storage.rows import VersionRow

_TIMEOUT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class FilesCleanedUp:
    """What became of the files of one version, or would become of them: `bytes` were freed on the disk.

    `unpublished` tells whether Ollama's copy was removed too; `problem` says what could not be done. `planned` marks a
    dry run.
    """

    version: str
    category: str
    bytes: int
    unpublished: bool = False
    problem: str = ""
    planned: bool = False

    def in_words(self) -> str:
        """One line."""
        verb = "would be removed" if self.planned else "removed"
        parts = [f"{self.bytes / 1e6:,.1f} MB of GGUF files {verb}"] if self.bytes else []
        parts += [f"{verb} from Ollama"] if self.unpublished else []
        parts += [self.problem] if self.problem else []
        return f"{self.version}: {', '.join(parts) or 'its files were gone already'}"

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def needed(store: Store, config: Config, category: str) -> dict[int, str]:
    """The versions of a category that keep their files, by id, each with the reason in words."""
    own = versions.list_versions(store, category)
    reasons = {version.id: "the untouched base" for version in own if version.number == 0}
    trained = [version for version in own if version.number > 0]
    newest = trained[-config.publish.keep_versions :]
    reasons.update(dict.fromkeys((version.id for version in newest), "one of the newest"))
    alias = aliases.get(store, alias_name(config, category))
    testing = version_uses.in_open_tests(store)
    testing |= version_uses.in_open_shadows(store, alias.version_id if alias else None)
    reasons.update(dict.fromkeys(testing, "in an A/B test without a result"))
    reasons.update(dict.fromkeys(version_uses.in_open_runs(store), "used by a run that may go on"))
    reasons.update(_of_alias(store, alias_name(config, category)))
    known = {version.id for version in own}
    return {each: why for each, why in reasons.items() if each in known}


def _of_alias(store: Store, name: str) -> dict[int, str]:
    """What serves, and where rollback and undo lead from there."""
    alias = aliases.get(store, name)
    if alias is None:
        return {}
    stack = serving_stack(aliases.history(store, name))
    reasons = dict.fromkeys(stack[-2:-1], "a rollback leads to it")
    undoable = aliases.last_undoable(store, name)
    if undoable is not None and undoable.from_version is not None:
        reasons[undoable.from_version] = "an undo leads to it"
    if len(stack) < 2 or undoable is None or undoable.from_version is None:
        serving = versions.get(store, alias.version_id)
        base = base_of(store, serving.category, serving.base_model)
        reasons |= {base.id: "a rollback leads to it"} if base is not None else {}
    return reasons | {alias.version_id: "it serves"}


def old_versions(store: Store, config: Config, category: str) -> list[VersionRow]:
    """The versions of a category whose files may go, oldest first; none where `publish.keep_versions` is 0."""
    if config.publish.keep_versions == 0:
        return []
    kept = needed(store, config, category)
    return [version for version in versions.list_versions(store, category) if version.gguf and version.id not in kept]


def lost_candidates(store: Store, config: Config, category: str) -> list[VersionRow]:
    """Trained versions that a gateway may have given to Ollama for a shadow test, and that no test asks any more.

    They never served, a newer one is there, and their last test says "keep" or a newer one serves.
    """
    name = alias_name(config, category)
    served = {change.to_version for change in aliases.history(store, name)}
    alias = aliases.get(store, name)
    trained = [version for version in versions.list_versions(store, category) if version.number > 0]
    verdicts = {
        test.version_b: test.result.get("verdict")
        for test in reversed(ab_tests.list_tests(store, category))
        if test.result
    }
    return [
        version
        for version in trained[:-1]
        if version.gguf
        and version.id not in served
        and (verdicts.get(version.id) == "keep" or (alias is not None and version.id < alias.version_id))
    ]


def clean_up_files(
    store: Store,
    home: Home,
    config: Config,
    categories: Iterable[str] | None = None,
    *,
    now: float,
    dry_run: bool = False,
) -> list[FilesCleanedUp]:
    """Removes the files of old versions of these categories or of all, here and from Ollama where it answers.

    Candidates that no test asks any more leave Ollama too, and keep their files here. What an earlier clean-up could
    not finish is finished. One report for each version with something to do; with `dry_run` nothing is removed. `now`
    is in seconds since the epoch.
    """
    known = {version.category for version in versions.list_versions(store)}
    chosen = sorted(known if categories is None else known & set(categories))
    reports: list[FilesCleanedUp] = []
    for category in chosen:
        for version in old_versions(store, config, category):
            if dry_run:
                reports.append(FilesCleanedUp(version.name, category, _size(gguf_files(home, version)), planned=True))
            else:
                retire(store, config, version, now=now)
    published = _published(store)
    for version in (each for category in chosen for each in lost_candidates(store, config, category)):
        if servers := published.get(version.id):
            planned = FilesCleanedUp(version.name, version.category, 0, unpublished=True, planned=True)
            reports.append(planned if dry_run else _finish(store, home, version, [], servers))
    for version in versions.list_versions(store):
        if version.retired_at is not None and not version.gguf and version.category in chosen:
            leftover, servers = list(gguf_files(home, version)), published.get(version.id, [])
            if dry_run and leftover:
                reports.append(FilesCleanedUp(version.name, version.category, _size(leftover), planned=True))
            elif not dry_run and (leftover or servers):
                reports.append(_finish(store, home, version, leftover, servers))
    return reports


def retire(store: Store, config: Config, version: VersionRow, *, now: float) -> bool:
    """Takes a version's files out of use unless it is needed meanwhile, on the disk when the call returns.

    The files themselves go at the next `clean_up_files`, which calls this.
    """
    with store.transaction(durable=True):
        if version.id in needed(store, config, version.category):
            return False
        versions.retire(store, version.id, now=now)
        return True


def gguf_files(home: Home, version: VersionRow) -> Iterator[Path]:
    """The GGUF files of a version that lie on the disk, referred to or not."""
    folder = home.resolve(version.folder)
    yield from sorted(path for path in folder.glob(f"{version.name}.*.gguf") if path.is_file())


def disk_use(home: Home, rows: Collection[VersionRow]) -> tuple[dict[int, int], int]:
    """Bytes on the disk of each version's folder by its id, and of all together, shared files counted once."""
    sizes: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    total = 0
    for version in rows:
        sizes[version.id] = 0
        try:
            folder = home.resolve(version.folder)
        except FinetuneError:  # no folder of this home, so nothing of it is counted
            continue
        for path in folder.rglob("*"):
            try:
                found = path.lstat()
            except OSError:  # removed meanwhile
                continue
            if not stat.S_ISREG(found.st_mode):
                continue
            sizes[version.id] += found.st_size
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_size
    return sizes, total


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _finish(store: Store, home: Home, version: VersionRow, leftover: list[Path], servers: list[str]) -> FilesCleanedUp:
    """Removes what is left of a retired version."""
    freed, problems = 0, []
    for path in leftover:
        try:
            size = path.stat().st_size
            path.unlink()
            freed += size
        except FileNotFoundError:  # another clean-up was faster
            continue
        except OSError as error:
            problems.append(f"{path.name} cannot be removed: {error.strerror or error}")
    gone = False
    for server in servers:
        try:
            _unpublish(store, home, version, server)
            gone = True
        except FinetuneError as error:
            problems.append(f"Ollama keeps its copy for now: {error.message}")
    return FilesCleanedUp(version.name, version.category, freed, gone, "; ".join(problems))


def _published(store: Store) -> dict[int, list[str]]:
    """The servers that hold a version, by its id."""
    found: dict[int, list[str]] = {}
    for each in deployments.list_deployments(store):
        found.setdefault(each.version_id, []).append(each.server)
    return found


def _unpublish(store: Store, home: Home, version: VersionRow, server: str) -> None:
    """Removes a version from one Ollama server. Raises BackendError where it does not answer."""
    from core.backends.ollama_api import OllamaApi
    from core.release.ollama_unpublish import unpublish

    with OllamaApi(server, timeout=_TIMEOUT_SECONDS) as api, turn(home, "giving", patient=False):
        unpublish(store, home, version, api)
