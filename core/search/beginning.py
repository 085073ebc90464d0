"""How a search begins: its examples frozen, its settings checked, and one study made of them, whoever else begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from core.categories import Category
from core.errors import RunError
from core.search import places
from core.search.sharing import model_name, shared_as
from core.search.study import Spec, abandon, create, is_search, next_name, unfinished
from core.search.travel import frozen, to_bytes, to_pieces
from core.search.tries import Moment
from core.train.config import TrainSettings
from core.train.preflight import preflight
from core.train.presets import resolve_base
from core.training import default_settings
from storage import datasets

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study

    from core.loop import LearningLoop

_POLL_SECONDS: Final = 0.2


class Beginning:
    """Makes the study of a new search on one category and base model."""

    def __init__(
        self, loop: LearningLoop, category: Category, base: str, *, seed: int | None, limit: int | None
    ) -> None:
        self._loop = loop
        self._category = category
        self._base = base
        self._seed = seed or 0
        self._limit = limit

    def study(
        self,
        storage: BaseStorage,
        known: Callable[[], Study | None],
        told: Callable[[Moment], None],
        should_stop: Callable[[], bool],
        *,
        shared: bool,
    ) -> Study | None:
        """A new search; or the one that another process was just beginning, which `known` then gives.

        None after a wish to stop. Raises FinetuneError where nothing could be trained or compared.
        """
        import optuna

        if not shared:
            return create(storage, self._spec())
        resolve_base(self._base, self._loop.home)  # without it nothing can be compared, so nothing is selected
        prefix = self._prefix()
        while not should_stop():
            # The name is chosen before others are looked for: whoever comes between them has it, and we hear of it.
            name = next_name(storage, prefix)
            found = self._of_another(storage, prefix, known, told, should_stop)
            if found is not None or should_stop():
                return found
            spec = self._spec()
            content = to_bytes(frozen(self._loop.store, spec.dataset_id or 0))
            tokens = self._loop.config.publish.max_tokens
            agreed = shared_as(content, self._base, self._category, tokens, self._loop.home)
            travels = replace(spec, base=agreed.model, dataset_id=None, shared=agreed)
            with suppress(optuna.exceptions.DuplicatedStudyError):
                made = create(storage, travels, name, to_pieces(content))
                if is_search(made.user_attrs):
                    return made
        return None

    def _of_another(
        self,
        storage: BaseStorage,
        prefix: str,
        known: Callable[[], Study | None],
        told: Callable[[Moment], None],
        should_stop: Callable[[], bool],
    ) -> Study | None:
        """Waits while another process makes a search like this; what `known` gives then. One that died is marked."""
        deadline = time.monotonic() + places.GRACE_SECONDS
        waited = False
        while (making := unfinished(storage, prefix)) and not should_stop():
            if not waited:
                told(Moment("waits", None, 0, 0, "Another process begins this search; this one waits for it."))
            waited = True
            if time.monotonic() > deadline:
                for one in making:
                    abandon(one)
            time.sleep(_POLL_SECONDS)
        return known()

    def _prefix(self) -> str:
        return f"search/{self._category.name}/{model_name(self._base, self._loop.home)}/"

    def _spec(self) -> Spec:
        """Freezes what a new search trains on. Raises FinetuneError where nothing could be trained or compared."""
        loop, seed = self._loop, self._seed
        own = default_settings(loop.store, loop.config, self._category.name, self._base, {"seed": seed})
        wanted = TrainSettings.from_mapping(own)
        dataset_id = self._dataset(seed, wanted.method)
        items = datasets.items(loop.store, dataset_id)
        if not any(item.split == "validation" for item in items):
            raise RunError(
                f"{self._category.name} has no validation examples yet, so trials cannot be compared.",
                title="Nothing to compare on",
                hint="Record and judge more outputs; some of them are held out for this.",
            )
        preflight(resolve_base(self._base, loop.home).path, wanted, items, loop.home.runs).require()
        return Spec(self._category.name, self._base, dataset_id, seed, self._limit, wanted.to_mapping())

    def _dataset(self, seed: int, method: str) -> int:
        from core.select.dataset import freeze
        from core.select.methods.selecting import Wanted, selected

        loop, now = self._loop, time.time()
        wanted = Wanted(method=method, seed=seed, limit=self._limit)
        chosen = selected(loop.store, loop.home, loop.config, self._category, wanted, now=now)
        return freeze(loop.store, chosen, now=now)
