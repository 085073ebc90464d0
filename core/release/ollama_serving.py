"""What Ollama answers with under the names that applications call, kept in agreement with the store.

The store is the one truth. Ollama's copy of a name is not atomic and Ollama may be gone at any moment, so every change
is looked at afterwards, and whoever comes next goes on where another was broken off.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from core.backends.ollama_api import OllamaApi, OllamaError
from core.config import Config
from core.errors import BackendError, FinetuneError
from core.paths import Home
from core.release.ollama_publish import NO_HELP, Help, Note, Publisher
from storage import aliases, deployments, versions
from storage.db import Store
from storage.rows import AliasRow

_TRIES: Final = 4
_PAUSE_SECONDS: Final = 0.1
_QUICK_SECONDS: Final = 1.0
_KEPT_TAG: Final = ":before"


@contextmanager
def reached(config: Config, *, quick: bool = False) -> Iterator[OllamaApi | None]:
    """The configured Ollama, None where versions are not to be served there or nobody answers. `quick` waits for a
    second at most, for those who can do without."""
    if config.serve.backend == "embedded":
        yield None
        return
    url = config.serve.ollama or None
    with OllamaApi(url, timeout=_QUICK_SECONDS) if quick else OllamaApi(url) as api:
        try:
            api.version()
        except BackendError:
            yield None
            return
        yield api


def point(api: OllamaApi, alias: str, name: str) -> bool:
    """Lets `alias` mean what `name` means, loaded and ready; False where it did already.

    Raises BackendError where that fails; the alias then means what it meant before, as far as Ollama still answers.
    """
    held = {model.name.removesuffix(":latest"): model.digest for model in api.models()}
    wanted, before, kept = held.get(name), held.get(alias), alias + _KEPT_TAG
    if wanted is None:
        raise OllamaError(f"Ollama does not hold {name} any more.", hint="`finetune-tui doctor` gives it again.")
    if before != wanted:
        _change(api, alias, name, held)
    if before != wanted or kept in held:
        with suppress(BackendError):
            api.delete(kept)
    return before != wanted


def _change(api: OllamaApi, alias: str, name: str, held: Mapping[str, str]) -> None:
    before, kept = held.get(alias), alias + _KEPT_TAG
    owner = next((other for other, digest in held.items() if digest == before and other not in (alias, kept)), None)
    if before is not None and owner is None:  # under no other name could it be brought back
        _copy(api, alias, kept, before)
    try:
        _copy(api, name, alias, held[name])
        api.warm(alias)
    except BaseException:
        with suppress(BackendError):
            if before is None:
                api.delete(alias)
            else:
                _copy(api, owner or kept, alias, before)
        raise
    if before is not None:
        with suppress(BackendError):  # it would go by itself after some minutes
            _let_go(api, owner or kept, name)


def _copy(api: OllamaApi, source: str, target: str, digest: str) -> None:
    """Copies a name until the server tells that the copy is there: it may miss a name for a moment while it writes."""
    failed: OllamaError | None = None
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_SECONDS * attempt)
        try:
            api.copy(source, target)
            if api.digest_of(target) == digest:
                return
        except OllamaError as error:
            if error.status not in (404, 500, 503):
                raise
            failed = error
    raise failed or OllamaError(
        f"Ollama says that {target} was made a copy of {source}, and shows something else.",
        hint="Ollama's log says more; `finetune-tui doctor` tries again.",
    )


def _let_go(api: OllamaApi, old: str, new: str) -> None:
    """Frees the memory of what answered before; not where it is the same file, which one process serves."""
    if api.show(old).modelfile_file_sha256 != api.show(new).modelfile_file_sha256:
        api.unload(old)


class Follower:
    """Makes one Ollama server agree with the store, alias by alias."""

    def __init__(self, store: Store, home: Home, config: Config, api: OllamaApi, *, using: Help = NO_HELP) -> None:
        self._store = store
        self._api = api
        self._publisher = Publisher(store, home, config, api, using=using)

    def follow(self, alias: AliasRow) -> str | None:
        """Gives the version that serves where it is missing, and points the alias at it; says so where anything
        changed. Raises FinetuneError where it cannot be done."""
        changed = False
        while True:
            version = versions.get(self._store, alias.version_id)
            row = self._publisher.standing(version)
            if row is None:
                deployments.settle_alias(self._store, self._api.url, alias.name, None)
                row, changed = self._publisher.publish(version), True
            settled = deployments.alias_settled(self._store, version.id, self._api.url, alias.name)
            if not settled:
                deployments.settle_alias(self._store, self._api.url, alias.name, None)
            changed |= point(self._api, alias.name, row.name)
            current = aliases.get(self._store, alias.name)
            if current is None or current.version_id == version.id:
                if not settled or changed:
                    deployments.settle_alias(self._store, self._api.url, alias.name, version.id)
                return f"{alias.name} in Ollama answers with {version.name}." if changed else None
            alias = current  # somebody was faster, and what they have pointed at was overwritten here

    def is_behind(self, alias: AliasRow) -> str | None:
        """Why Ollama does not agree with the store about an alias, in words; None where it does. Changes nothing."""
        version = versions.get(self._store, alias.version_id)
        row = self._publisher.standing(version)
        if row is None:
            return f"it does not hold {version.name} as it should be"
        if self._api.digest_of(alias.name) != row.digest:
            return f"it does not answer with {version.name} under that name"
        return None


def follow(
    store: Store, home: Home, config: Config, *, note: Note = lambda _: None, using: Help | None = None
) -> list[str]:
    """Makes Ollama agree with the store's aliases; says in words what was done and what could not be.

    Cheap where all is well. Nothing where versions are not served there or nobody answers. What has to be given first
    may take minutes.
    """
    done: list[str] = []
    with reached(config) as api:
        if api is None:
            return done
        follower = Follower(store, home, config, api, using=using or Help(note))
        for alias in aliases.list_aliases(store):
            try:
                said = follower.follow(alias)
            except FinetuneError as error:
                said = f"Ollama does not follow {alias.name} yet: {error.message} {error.hint}".rstrip()
            if said is not None:
                done.append(said)
    return done


def catch_up(store: Store, home: Home, config: Config) -> list[str]:
    """What `follow` does, as far as it takes no time: an alias whose version Ollama holds is pointed at it.

    Nobody is asked where the store knows that all was settled; that is what nearly every start finds.
    """
    if config.serve.backend == "embedded":
        return []
    known = {row.version_id: row.server for row in deployments.list_deployments(store)}
    late = [
        alias
        for alias in aliases.list_aliases(store)
        if alias.version_id in known
        and not deployments.alias_settled(store, alias.version_id, known[alias.version_id], alias.name)
    ]
    done: list[str] = []
    if not late:
        return done
    with reached(config, quick=True) as api:
        if api is None:
            return done
        publisher, follower = Publisher(store, home, config, api), Follower(store, home, config, api)
        for alias in late:
            with suppress(FinetuneError):  # whoever promotes next, or `doctor`, says what stands in the way
                if publisher.standing(versions.get(store, alias.version_id)) is not None:
                    done += filter(None, [follower.follow(alias)])
    return done
