"""What the stages of one claimed run share: the store, the settings, the model server, and how a stop is heard."""

from __future__ import annotations

from core.backends.llamacpp import LlamaCppBackend
from core.categories import Category, category, load_categories
from core.config import Config, load_config
from core.paths import Home
from core.select.held_out import held_out_events
from core.train.config import TrainSettings
from core.train.presets import resolve_base
from core.train.reporter import Reporter, Stopped
from storage import runs
from storage.db import Store
from storage.rows import EventRow, RunRow, RunStage

_NOTES_PER_STAGE = 10


class RunContext:
    """One claimed run and everything that its stages share; close its `backend` at the end."""

    def __init__(self, store: Store, home: Home, run: RunRow, reporter: Reporter) -> None:
        self.store = store
        self.home = home
        self.run = run
        self.reporter = reporter
        self.config: Config = load_config(home)
        self.category: Category = category(load_categories(home), run.category)
        self.settings = TrainSettings.from_mapping(run.settings)
        self.base = resolve_base(run.base_model, home)
        self.folder = home.resolve(run.folder)
        self.backend = LlamaCppBackend(num_ctx=self.config.publish.num_ctx, log=self.folder / "llamacpp.txt")

    def stage(self, stage: RunStage, text: str) -> None:
        """Begins a stage. Raises Stopped."""
        self.check_stop()
        runs.set_stage(self.store, self.run.id, stage)
        self.reporter.note(text)

    def check_stop(self) -> None:
        """Raises Stopped when somebody asked for it."""
        if self.reporter.should_stop():
            raise Stopped

    def counted(self, what: str, done: int, total: int) -> None:
        """Progress of a stage that counts: a stop is heard after each, the log tells a tenth at a time."""
        if done == total or done % max(1, total // _NOTES_PER_STAGE) == 0:
            self.reporter.note(f"{what}: {done} of {total}.")
        if done < total:
            self.check_stop()

    def held_out(self) -> list[EventRow]:
        """The events whose prompts test the version."""
        return held_out_events(
            self.store,
            self.run.category,
            limit=min(self.settings.ab_prompts, self.config.select.max_test),
            held_out_percent=self.config.select.held_out_percent,
        )
