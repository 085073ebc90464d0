"""How texts are compared: by an embedding model that is on this machine, or by character n-grams without one.

Vectors of two kinds must never meet in one selection. So `open_meaning` settles the kind before it hands anything out:
a model that never ran here is tried out first, and one that fails later is an error, not a change of kind. A preview,
which must not wait for a model, is made by `preview`: with the embeddings that are kept if there is one for every text,
and otherwise all over again with n-grams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from core.backends.embedding import embed_texts, open_embedder
from core.backends.embedding_models import EmbeddingModel, find_model, missing_package
from core.config import Config
from core.errors import BackendError
from core.paths import Home
from core.select.alike.embedding_cache import EmbeddingCache, NotCachedError, Progress
from core.select.alike.vectors import Embed, vectors
from storage import embeddings
from storage.db import Store

_NO_MODEL: Final = "no embedding model on this machine"
_OFF: Final = "embeddings are switched off"
_REASON_CHARS: Final = 160

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Meaning:
    """`embed` gives texts as rows of unit length, so that a dot product is a cosine; `label` says by what, for people.

    semantic: whether alike rows mean alike texts. Where not, they share characters, and the weight that a formula has
    for the cosine of embeddings is shared out among its other parts.
    """

    label: str
    semantic: bool
    embed: Embed


PLAIN: Final = Meaning("character n-grams (no embedding model)", False, vectors)
"""Without any model, always there."""


@contextmanager
def open_meaning(store: Store, home: Home, config: Config, *, progress: Progress | None = None) -> Iterator[Meaning]:
    """The best way to compare texts on this machine, as `[select] embeddings` says; `PLAIN` where it has no model, or
    one that does not run, with the reason in its label.

    `embed` takes what is kept from the store, computes the rest in a child process that the first such text starts, and
    keeps it 64 texts at a time; `progress(done, total)` hears of those. Use it in the thread that opened the store. It
    raises BackendError when the model fails after it had run before. Vectors of the model's earlier files are removed.
    Raises ConfigError when the setting names what is no embedding model.
    """
    found = _model(config)
    if isinstance(found, str):
        yield _plain(found)
        return
    with _running(store, home, found, progress) as cache:
        reason = _failure(store, found, cache)
        yield Meaning(found.label, True, cache) if reason is None else _plain(reason)


def cached_meaning(store: Store, config: Config) -> Meaning:
    """As `open_meaning`, but its `embed` never computes: NotCachedError for a text that has no embedding yet.

    A selection in which that happens is made again with `PLAIN` as a whole, as `preview` does.
    Raises ConfigError when the setting names what is no embedding model.
    """
    found = _model(config)
    if isinstance(found, str):
        return _plain(found)
    return Meaning(found.label, True, EmbeddingCache(store, found.name, None))


def preview(store: Store, config: Config, work: Callable[[Meaning], Result]) -> Result:
    """What `work` makes with the embeddings that are kept; with n-grams when any text it asks for has none yet.

    `work` may run twice, so it changes nothing. No process is started. Raises ConfigError as `cached_meaning`.
    """
    meaning = cached_meaning(store, config)
    try:
        return work(meaning)
    except NotCachedError:
        return work(_plain(f"not all texts are embedded by {meaning.label} yet"))


def fill(store: Store, home: Home, config: Config, texts: Sequence[str], progress: Progress | None = None) -> int:
    """Computes and keeps the embeddings that are missing, and returns how many; 0 without a model that can run.

    `progress(done, total)` counts the missing ones. Vectors of the model's earlier files are removed.
    Raises BackendError when the model fails, and ConfigError as `open_meaning`.
    """
    found = _model(config)
    if isinstance(found, str):
        return 0
    with _running(store, home, found, progress) as cache:
        done = cache.fill(texts)
    _forget_outdated(store, found)
    return done


@contextmanager
def _running(store: Store, home: Home, model: EmbeddingModel, progress: Progress | None) -> Iterator[EmbeddingCache]:
    """A cache that may compute; the model's process starts when it first has to."""
    embedder = open_embedder(model, home.logs / "embedding.txt")
    try:
        yield EmbeddingCache(store, model.name, lambda texts: embed_texts(embedder, texts), progress)
    finally:
        embedder.close()


def _model(config: Config) -> EmbeddingModel | str:
    """The model to compare with, or why there is none."""
    setting = config.select.embeddings
    found = find_model(setting)
    if found is None:
        return _OFF if setting == "none" else _NO_MODEL
    package = missing_package(found)
    return found if package is None else f"{package} is not installed"


def _failure(store: Store, model: EmbeddingModel, cache: EmbeddingCache) -> str | None:
    """Why a model does not run, if it does not. One that ran before, with the same files, is taken at its word: to try
    it again would cost seconds where every text is known already."""
    if embeddings.dimensions(store, model.name) is not None:
        return None
    try:
        cache([""])
    except BackendError as error:
        return f"{model.label} does not run: {error.message.splitlines()[0][:_REASON_CHARS]}"
    _forget_outdated(store, model)
    return None


def _forget_outdated(store: Store, model: EmbeddingModel) -> None:
    """Removes the vectors of files that stood where the model's files stand now."""
    for name in embeddings.counts(store):
        if model.outdated(name):
            embeddings.forget(store, name)


def _plain(reason: str) -> Meaning:
    return replace(PLAIN, label=f"character n-grams ({reason})")
