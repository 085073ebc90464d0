"""What the loop knows of trained versions: which there are, which is better, which serves. Part of `core.loop`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core import compare
from core.categories import Category, category
from core.config import Config
from core.errors import NotFoundError
from core.paths import Home
from core.prove.pooled import standing
from core.release import promote as release
from core.release import registry
from core.release.ollama_publish import Help, Note
from core.release.switch import Switch
from storage import aliases, versions
from storage.db import Store
from storage.rows import AliasChange, AliasRow, VersionRow


class LoopVersions:
    """The half of `LearningLoop` that begins where a run has ended."""

    store: Store
    home: Home
    config: Config
    categories: Mapping[str, Category]

    @property
    def switch(self) -> Switch:
        """What changes the version that serves."""
        return Switch(self.store, self.home, self.config)

    def versions(self, category_name: str | None = None) -> list[VersionRow]:
        """The versions of a category or of all, oldest first; number 0 is the untouched base."""
        return versions.list_versions(self.store, category_name)

    def version(self, version_id: int) -> VersionRow:
        """One version. Raises NotFoundError."""
        return versions.get(self.store, version_id)

    def find_version(self, name: str | None = None) -> VersionRow:
        """A version by its name or id, without one the newest trained. Raises NotFoundError."""
        if name is not None:
            return registry.find(self.store, name)
        trained = [version for version in versions.list_versions(self.store) if version.number > 0]
        if not trained:
            raise NotFoundError("There is no trained version yet.", hint="Train one: finetune-tui train CATEGORY")
        return trained[-1]

    def aliases(self) -> list[AliasRow]:
        """What serves, category by category."""
        return aliases.list_aliases(self.store)

    def serving(self, category_name: str) -> VersionRow | None:
        """The version that serves a category, or None before the first promotion."""
        return release.serving(self.store, self.config, category_name)

    # -- comparing

    def ab(
        self,
        version_id: int,
        *,
        against: int | None = None,
        prompts: int | None = None,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Mapping[str, Any]:
        """Compares a version with another (default: what serves, else the base) on held-out prompts, anew.

        A comparison that was broken off goes on where it was. Returns what `latest_test` does.
        """
        candidate = self.version(version_id)
        return compare.compare(
            self.store,
            self.home,
            self.config,
            category=category(self.categories, candidate.category),
            opponent=self.opponent(version_id) if against is None else self.version(against),
            candidate=candidate,
            prompts=prompts,
            seed=seed,
            progress=progress,
        )

    def opponent(self, version_id: int) -> VersionRow:
        """What a version is compared with unless told otherwise: what serves today, else the untouched base.

        Raises NotFoundError when there is neither.
        """
        return compare.opponent_of(self.store, self.config, self.version(version_id))

    def latest_test(self, version_id: int, *, against: int | None = None) -> Mapping[str, Any] | None:
        """The newest finished comparison of a version as candidate: its result with test_id, version_a, version_b."""
        return compare.latest(self.store, self.version(version_id), against=against)

    # -- serving

    def promote(
        self,
        version_id: int,
        *,
        why: str = "",
        who: str = "",
        note: Note = lambda _: None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> AliasChange:
        """Lets a proved version serve, in Ollama too where it answers: then the file may have to be given to it, which
        takes seconds to minutes. `note` hears of it, `progress` gets (bytes sent, bytes in all), `cancelled` ends it.

        Raises ProofError, ConflictError, ExportError or BackendError with nothing changed; see `core.release.switch`.
        """
        candidate = self.version(version_id)
        own = self.categories.get(candidate.category) or Category(candidate.category, candidate.category)
        test = standing(self.store, self.config, own, candidate)
        evidence = {key: test[key] for key in ("test_id", "summary", "verdict", "evidence")} if test else {}
        using = Help(note, progress, cancelled)
        return self.switch.promote(version_id, who=who, why=why, evidence=evidence, using=using)

    def rollback(
        self,
        category_name: str,
        *,
        why: str = "",
        who: str = "",
        evidence: Mapping[str, Any] | None = None,
        after: int | None = None,
        note: Note = lambda _: None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> AliasChange:
        """Lets the version before serve again; before the first promoted one stands the untouched base.

        `evidence` is kept with the change; `after` is explained at `core.release.promote.rollback`. `note` hears how
        Ollama follows, and `progress` gets (bytes sent, bytes in all) of a file that it has to be given. `cancelled`
        ends only that: the change holds, and Ollama follows later.
        """
        category(self.categories, category_name)
        using = Help(note, progress, cancelled)
        return self.switch.rollback(category_name, who=who, why=why, evidence=evidence, after=after, using=using)

    def undo(
        self,
        category_name: str,
        *,
        who: str = "",
        note: Note = lambda _: None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> AliasChange | None:
        """Takes back the last promotion or rollback; None when there is none. The rest is as in `rollback`."""
        category(self.categories, category_name)
        return self.switch.undo(category_name, who=who, using=Help(note, progress, cancelled))
