"""Changing what serves, with everything that belongs to it: the proof, Ollama's copy, the store, Ollama's alias."""

from __future__ import annotations

import getpass
import time
from collections.abc import Mapping
from typing import Any

from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from core.release import promote as release
from core.release.ollama_publish import Help, Note, Publisher
from core.release.ollama_serving import Follower, follow, reached
from storage import aliases, deployments
from storage.db import Store
from storage.rows import AliasChange


class Switch:
    """Promotes, rolls back and takes back on one home; Ollama follows where it answers.

    The store alone says what serves. A promotion first gives the version to Ollama and checks it there, so that one
    which Ollama cannot serve is refused while nothing is changed; going back waits for nobody. Only then is Ollama's
    alias pointed, and where that fails or a kill comes between, `finetune-tui doctor` or the next start does it.
    """

    def __init__(self, store: Store, home: Home, config: Config) -> None:
        self._store = store
        self._home = home
        self._config = config

    def promote(
        self,
        version_id: int,
        *,
        why: str,
        evidence: Mapping[str, Any],
        who: str = "",
        using: Help | None = None,
    ) -> AliasChange:
        """Lets a version serve its category. Raises as `core.release.promote.promote` does before anything is sent,
        and ExportError or BackendError where Ollama answers and cannot serve it; then nothing was changed."""
        using = using or Help()
        version = release.promotable(self._store, self._home, self._config, version_id)
        with reached(self._config) as api:
            if api is not None:
                publisher = Publisher(self._store, self._home, self._config, api, using=using)
                publisher.claim(release.alias_name(self._config, version.category))
                publisher.publish(version)
        change = release.promote(
            self._store,
            self._home,
            self._config,
            version_id,
            who=who or self.user(),
            why=why,
            evidence=evidence,
            now=time.time(),
            thorough=False,
        )
        self._follow(change.alias, using)
        return change

    def rollback(
        self,
        category: str,
        *,
        why: str,
        who: str = "",
        evidence: Mapping[str, Any] | None = None,
        after: int | None = None,
        using: Help | None = None,
    ) -> AliasChange:
        """Lets the version before serve again. Raises as `core.release.promote.rollback` does."""
        change = release.rollback(
            self._store,
            self._home,
            self._config,
            category,
            who=who or self.user(),
            why=why,
            now=time.time(),
            evidence=evidence,
            after=after,
        )
        self._follow(change.alias, using or Help())
        return change

    def undo(self, category: str, *, who: str = "", using: Help | None = None) -> AliasChange | None:
        """Takes back the last change that stands, None when there is none. Raises as `core.release.promote.undo`."""
        change = release.undo(self._store, self._home, self._config, category, who=who or self.user(), now=time.time())
        if change is not None:
            self._follow(change.alias, using or Help())
        return change

    def follow(self, *, note: Note = lambda _: None) -> list[str]:
        """Makes Ollama agree with the store; see `core.release.ollama_serving.follow`."""
        return follow(self._store, self._home, self._config, note=note)

    def user(self) -> str:
        """Who changes something: the configured author, else the user of the machine."""
        if self._config.general.author:
            return self._config.general.author
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # a process without a name for its user
            return "unknown"

    def _waited_for(self) -> bool:
        """Whether an Ollama that does not answer is missed: it is the one that is to serve, or it was given versions,
        so that who calls it directly goes on with the old one when it runs again."""
        backend = self._config.serve.backend
        return backend == "ollama" or (backend == "auto" and bool(deployments.list_deployments(self._store)))

    def _follow(self, name: str, using: Help) -> None:
        """Points Ollama's alias, and says where that has to wait."""
        with reached(self._config) as api:
            alias = aliases.get(self._store, name)
            if api is None or alias is None:
                if self._waited_for():
                    using.note("Ollama does not answer; it follows when the gateway starts or `doctor` is run.")
                return
            try:
                said = Follower(self._store, self._home, self._config, api, using=using).follow(alias)
            except FinetuneError as error:
                said = (
                    f"The change holds, but Ollama does not follow yet: {error.message} It is tried again when the "
                    "gateway starts or `finetune-tui doctor` is run."
                )
            if said is not None:
                using.note(said)
