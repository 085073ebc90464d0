"""What Ollama answers with under the names that applications call, kept in agreement with the store.

The store is the one truth. Ollama's copy of a name is not atomic and Ollama may be gone at any moment, so every change
is looked at afterwards, and whoever comes next goes on where another was broken off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from core.backends.ollama_answers import with_tag
from core.backends.ollama_api import OllamaApi, OllamaError
from core.backends.ollama_url import server_url, url_of
from core.config import Config
from core.errors import BackendError, FinetuneError
from core.paths import Home
from core.release.ollama_names import KEPT_TAG, Ownership, copy_name
from core.release.ollama_publish import NO_HELP, Help, Note, Publisher
from core.release.ollama_turns import turn
from core.release.ollama_unpublish import tidy
from storage import aliases, deployments, versions
from storage.db import Store
from storage.rows import AliasRow, VersionRow

_QUICK_SECONDS: Final = 1.0


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


def point(
    api: OllamaApi, alias: str, name: str, *, warm: bool = True, is_ours: Callable[[str], bool] = lambda _: True
) -> bool:
    """Lets `alias` mean what `name` means, loaded and ready; False where it did already. `is_ours` is asked before a
    kept copy of an older meaning is removed. Without `warm` nothing is loaded, so that it takes no time.

    Raises BackendError where that fails; the alias then means what it meant before, as far as Ollama still answers.
    """
    held = {with_tag(model.name).removesuffix(":latest"): model.digest for model in api.models()}
    wanted, before, kept = held.get(name), held.get(alias), alias + KEPT_TAG
    if wanted is None:
        raise OllamaError(f"Ollama does not hold {name} any more.", hint="`finetune-tui doctor` gives it again.")
    if before != wanted:
        _change(api, alias, name, held, warm=warm)
    if before != wanted or kept in held:
        with suppress(BackendError):
            if is_ours(kept):
                api.delete(kept)
    return before != wanted


def _change(api: OllamaApi, alias: str, name: str, held: Mapping[str, str], *, warm: bool) -> None:
    before, kept = held.get(alias), alias + KEPT_TAG
    owner = next((other for other, digest in held.items() if digest == before and other not in (alias, kept)), None)
    if before is not None and owner is None:  # under no other name could it be brought back
        copy_name(api, alias, kept, before)
    try:
        copy_name(api, name, alias, held[name])
        if warm:
            api.warm(alias)
    except BaseException:
        with suppress(BackendError):
            if before is None:
                api.delete(alias)
            else:
                copy_name(api, owner or kept, alias, before)
        raise
    if before is not None and warm:
        with suppress(BackendError):  # it would go by itself after some minutes
            _let_go(api, owner or kept, name)


def _let_go(api: OllamaApi, old: str, new: str) -> None:
    """Frees the memory of what answered before; not where it is the same file, which one process serves."""
    if api.show(old).modelfile_file_sha256 != api.show(new).modelfile_file_sha256:
        api.unload(old)


class Follower:
    """Makes one Ollama server agree with the store, alias by alias.

    `quick`: what another process is at is left to it, and no model is loaded.
    """

    def __init__(
        self,
        store: Store,
        home: Home,
        config: Config,
        api: OllamaApi,
        *,
        using: Help = NO_HELP,
        quick: bool = False,
    ) -> None:
        self._store = store
        self._home = home
        self._api = api
        self._quick = quick
        self._owner = Ownership(store, home, api)
        self._publisher = Publisher(store, home, config, api, using=using)

    def follow(self, alias: AliasRow) -> str | None:
        """Gives the version that serves where it is missing, and points the alias at it; says so where anything
        changed. Raises FinetuneError where it cannot be done."""
        changed = False
        while True:
            version = versions.get(self._store, alias.version_id)
            if self._publisher.standing(version) is None:
                deployments.settle_alias(self._store, self._api.url, alias.name, None)
                self._publisher.publish(version)
                changed = True
            with turn(self._home, "pointing", patient=not self._quick):
                current = aliases.get(self._store, alias.name)
                if current is not None and current.version_id != version.id:
                    alias = current  # somebody was faster
                    continue
                changed |= self._point(alias.name, version)
            # Whoever changes the store now waits for this turn or comes after it, and points the alias anew.
            current = aliases.get(self._store, alias.name)
            if current is None or current.version_id == version.id:
                return f"{alias.name} in Ollama answers with {version.name}." if changed else None
            alias = current

    def _point(self, alias: str, version: VersionRow) -> bool:
        """Points an alias and keeps that it was; what was begun and never ended is seen by the next start."""
        row = self._publisher.standing(version)
        if row is None:
            raise OllamaError(f"Ollama does not hold {version.name} any more.", hint="`finetune-tui doctor` gives it.")
        server = self._api.url
        settled = deployments.alias_settled(self._store, version.id, server, alias)
        if settled and self._api.digest_of(alias) == row.digest:
            return False
        self._owner.require(alias)
        deployments.settle_alias(self._store, server, alias, None)
        changed = point(self._api, alias, row.name, warm=not self._quick, is_ours=self._owner.is_ours)
        deployments.settle_alias(self._store, server, alias, version.id)
        return changed

    def is_behind(self, alias: AliasRow) -> str | None:
        """Why Ollama does not agree with the store about an alias, in words; None where it does. Changes nothing."""
        version = versions.get(self._store, alias.version_id)
        row = self._publisher.standing(version)
        if row is None:
            return f"it does not hold {version.name} as it should be"
        self._owner.require(alias.name)
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
        with suppress(BackendError):  # following says what is wrong with the server
            tidy(store, home, api)
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
    server = url_of(config.serve.ollama) if config.serve.ollama else server_url()
    known = {row.version_id for row in deployments.list_deployments(store, server) if row.digest}
    late = [
        alias
        for alias in aliases.list_aliases(store)
        if alias.version_id in known and not deployments.alias_settled(store, alias.version_id, server, alias.name)
    ]
    done: list[str] = []
    if not late:
        return done
    with reached(config, quick=True) as api:
        if api is None:
            return done
        publisher, follower = Publisher(store, home, config, api), Follower(store, home, config, api, quick=True)
        for alias in late:
            with suppress(FinetuneError):  # whoever promotes next, or `doctor`, says what stands in the way
                if publisher.standing(versions.get(store, alias.version_id)) is not None:
                    done += filter(None, [follower.follow(alias)])
    return done
