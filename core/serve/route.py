"""Which model answers a request, and which category it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from core.backends.by_name import in_ollama
from core.categories import Category
from core.config import Config, close_names
from core.errors import NotFoundError, StoreError
from core.release.promote import alias_name
from core.serve.replies import Refused
from storage import aliases, versions
from storage.db import Store
from storage.rows import VersionRow

_LONGEST_NAME: Final = 400
_MOST_REMEMBERED: Final = 1024


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a request goes: `model` is the upstream's own name of what answers; `category` is "" where none is known.

    `version` is what answers where that is a version of this store; `alias` the category's alias that was called.
    """

    model: str
    version: VersionRow | None = None
    category: str = ""
    alias: str = ""


class Routes(Protocol):
    """What the gateway asks of its router."""

    def route(self, model: str, category: str = "") -> Routed:
        """Where a request for `model` goes; `category` is what a header said. Raises Refused."""
        ...

    def aliases(self) -> Mapping[str, str]:
        """The names that applications call, each with the upstream's name of what answers."""
        ...


class Router:
    """Routes by what the store says at the moment of each request. Used in one thread, with a store of its own.

    `names` tells what the upstream calls a version.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        categories: Mapping[str, Category],
        *,
        names: Callable[[VersionRow], str] = lambda version: version.name,
    ) -> None:
        self._store = store
        self._names = names
        self._config = config
        self._categories = categories
        self._alias_of = {alias_name(config, name): name for name in categories}
        self._by_model = {plain(model): one.name for one in categories.values() for model in one.models}
        self._seen: int | None = None
        self._known: dict[str, VersionRow | None] = {}

    def route(self, model: str, category: str = "") -> Routed:
        if category and category not in self._categories:
            raise Refused(
                400, f"There is no category `{category[:60]}`.", hint=close_names(category[:60], self._categories)
            )
        self._refresh()
        name = plain(model)
        if name in self._alias_of:
            return self._alias(name, self._alias_of[name], category)
        version = self._lookup(name)
        if version is not None:
            return Routed(self._names(version), version, category or version.category)
        return Routed(model, None, category or self._by_model.get(name, "") or self._config.serve.category)

    def aliases(self) -> Mapping[str, str]:
        self._refresh()
        found: dict[str, str] = {}
        for name, category in self._alias_of.items():
            try:
                found[name] = self._alias(name, category, "").model
            except Refused:
                continue
        return found

    def _alias(self, name: str, category: str, wanted: str) -> Routed:
        version = self._lookup(name)
        if version is not None:
            return Routed(self._names(version), version, wanted or category, name)
        base = self._categories[category].base_model
        if (held := in_ollama(base)) is not None:
            return Routed(held, None, wanted or category, name)
        raise Refused(
            404,
            f"Nothing serves {name} yet: no version of {category} was promoted.",
            hint=f"Train one (finetune-tui train {category}) and promote it (finetune-tui promote), "
            "or name another model.",
        )

    def _refresh(self) -> None:
        """Forgets what was read when another connection has changed the store since."""
        try:
            seen = self._store.data_version()
        except StoreError:
            return  # what was read last still holds better than no answer
        if seen != self._seen or len(self._known) > _MOST_REMEMBERED:
            self._seen = seen
            self._known.clear()

    def _lookup(self, name: str) -> VersionRow | None:
        """The version that an alias or a version's name stands for, read once between changes of the store."""
        if len(name) > _LONGEST_NAME or not name.isprintable():
            return None
        if name not in self._known:
            try:
                self._known[name] = self._read(name)
            except StoreError as error:
                raise Refused(503, f"The store cannot be read: {error.message}", hint=error.hint) from error
        return self._known[name]

    def _read(self, name: str) -> VersionRow | None:
        category = self._alias_of.get(name)
        if category is None:
            try:
                return versions.by_name(self._store, name)
            except NotFoundError:
                return None
        alias = aliases.get(self._store, name)
        if alias is not None:
            return versions.get(self._store, alias.version_id)
        # Before the first promotion stands the untouched base, as it does for a rollback.
        bases = [one for one in versions.list_versions(self._store, category) if one.number == 0]
        usual = [one for one in bases if one.base_model == self._categories[category].base_model]
        return next(reversed(usual or bases), None)


def plain(name: str) -> str:
    """A model's name without what goes without saying: its case and the tag `latest`."""
    return name.strip().lower().removesuffix(":latest")
