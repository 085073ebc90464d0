"""A sitting at the playground: what is asked, the answers that stand there, and what is said of them."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from core.paths import Home
from core.playground.desk import ARMS, Arm, Desk
from core.playground.take import Question, Take, Turn
from storage.db import Store
from storage.rows import Verdict
from tui.play.acts import Act, judgment_back, keep_back, vote_back
from tui.play.settings import PlaySettings

if TYPE_CHECKING:
    from core.playground.keeping import Kept, Voted

Result = TypeVar("Result")
Better = Literal["left", "right", "tie"]
Told = Callable[[str], None]
_WORDS: Mapping[Verdict, str] = {"good": "✓ good", "bad": "✗ bad", "correct": "✎ corrected"}


class Writes(Protocol):
    """Who runs a write in the writing thread and hands its result to `then`."""

    def write(
        self, work: Callable[[Store], Result], *, doing: str, then: Callable[[Result], None] | None = None
    ) -> None:
        """Run `work` after every write given before."""


class PlaySession:
    """The takes of both arms, the conversation before them, and what can be taken back. All of it belongs to the app's
    thread but the writes."""

    def __init__(self, writes: Writes, home: Home, desk: Desk) -> None:
        self._writes = writes
        self._home = home
        self.desk = desk
        self.takes: dict[Arm, Take] = {}
        self.verdicts: dict[Take, Verdict] = {}
        self.better: Better | None = None
        self.history: tuple[Turn, ...] = ()
        self.swapped = False
        self.hidden = False
        self._acts: list[Act] = []

    # Asking.

    def ask(self, prompt: str, settings: PlaySettings, models: Sequence[str], sent: str) -> None:
        """Ask one model or two; `sent` is the category's own system prompt. Both draw with the same seed."""
        self.desk.stop()
        question = Question(settings.category, prompt, settings.system, sent, self.history)
        sampling, token = settings.sampling(), secrets.token_hex(4)
        self.takes = {
            arm: Take(question, model, sampling, f"playground-{token}-{arm}")
            for arm, model in zip(ARMS, models, strict=False)
        }
        self.hidden = settings.blind and len(self.takes) == 2
        self.swapped = self.hidden and random.random() < 0.5
        self.better = None
        for arm, take in self.takes.items():
            self._start(arm, take)

    def again(self, arm: Arm, settings: PlaySettings) -> None:
        """Another answer in place of this one, with another seed; the one before is marked as regenerated."""
        old = self.takes[arm]
        sampling = settings.sampling(fresh=True)
        if not old.usable:
            self.takes[arm] = Take(old.question, old.model, sampling, old.group, old.before)
        else:
            old.regenerated = True
            self.note(old)
            self.takes[arm] = Take(old.question, old.model, sampling, old.group, (*old.before, old))
        self.better = None
        self._start(arm, self.takes[arm])

    def _start(self, arm: Arm, take: Take) -> None:
        home = self._home

        def find() -> str:
            from core.playground.choices import find

            return find(home, take.model)

        self.desk.start(arm, take, find, beside=len(self.takes) == 2)

    def follow_up(self, take: Take) -> None:
        """What is asked next goes on from this answer."""
        asked = take.question
        self.history = (
            *asked.history,
            {"role": "user", "content": asked.prompt},
            {"role": "assistant", "content": take.text},
        )

    def clear(self) -> None:
        """A new conversation; answers that nobody said anything of are forgotten."""
        self.desk.stop()
        self.takes, self.history, self.better, self.hidden, self.swapped = {}, (), None, False, False

    def arm_at(self, place: int) -> Arm | None:
        """The arm whose answer stands on the left (0) or right (1)."""
        arm = ARMS[1 - place if self.swapped else place]
        return arm if arm in self.takes else None

    # Saying what an answer is worth.

    def judge(self, take: Take, kind: Verdict, told: Told, *, correction: str | None = None) -> None:
        """Record the answer and a verdict on it, then tell in one line what was recorded."""
        seconds, home = max(0.0, time.time() - take.ended_at), self._home

        def work(store: Store) -> Kept:
            from core.playground.keeping import judge

            return judge(store, home, take, kind, correction=correction, seconds=seconds)

        def done(kept: Kept) -> None:
            before = self.verdicts.get(take)
            self.verdicts[take] = kind
            said = f"{_WORDS[kind]} on #{kept.event_id}"
            self._acts.append(Act(said, judgment_back(home, kept.event_id), lambda: self._say(take, before)))
            told(f"{said}{' · a preference pair' if kept.paired else ''}{_recorded(kept)} · u takes it back")

        self._writes.write(work, doing="recording what was said of an answer", then=done)

    def keep(self, take: Take, told: Told) -> None:
        """Record the answer and say nothing of it."""
        home = self._home

        def work(store: Store) -> Kept:
            from core.playground.keeping import keep

            return keep(store, home, take)

        def done(kept: Kept) -> None:
            if kept.known:
                told(f"It is in the store already, as #{kept.event_id}.")
                return
            numbers, takes = (*kept.replaced, kept.event_id), (*take.before, take)
            self._acts.append(Act(f"#{kept.event_id} kept", keep_back(takes, numbers), lambda: None))
            told(f"kept as #{kept.event_id}, not judged{_recorded(kept)} · u takes it back")

        self._writes.write(work, doing="keeping an answer", then=done)

    def vote(self, better: Better, told: Told) -> None:
        """Record both answers and which is better, then show whose they are."""
        first, second, home = self.takes["a"], self.takes["b"], self._home
        choice: Literal["first", "second", "tie"] = "tie"
        if better != "tie":
            choice = "first" if (better == "left") != self.swapped else "second"
        swapped = self.swapped
        seconds = max(0.0, time.time() - max(first.ended_at, second.ended_at))

        def work(store: Store) -> Voted:
            from core.playground.keeping import compare

            return compare(store, home, first, second, choice, swapped=swapped, seconds=seconds)

        def done(voted: Voted) -> None:
            before = self.better
            if self.takes.get("a") is first and self.takes.get("b") is second:
                self.better, self.hidden = better, False
            one, other = voted.first_event, voted.second_event
            won, lost = (one, other) if choice == "first" else (other, one)
            said = f"#{one} and #{other}: no difference" if choice == "tie" else f"#{won} is better than #{lost}"
            self._acts.append(Act(said, vote_back(voted), lambda: self._prefer(first, before)))
            told(f"{said} · {'a preference pair' if voted.paired else 'no pair'} · u takes it back")

        self._writes.write(work, doing="recording which answer is better", then=done)

    def note(self, take: Take) -> None:
        """What was done with a recorded answer goes into the store; of others it is recorded with them."""

        def work(store: Store) -> None:
            from core.playground.keeping import note

            note(store, take)

        self._writes.write(work, doing="noting what was done with an answer")

    @property
    def can_undo(self) -> bool:
        """Whether something was said in this sitting that is not taken back."""
        return bool(self._acts)

    def undo(self, told: Told) -> None:
        """Take back what was said last. The events of judged answers stay, unjudged."""
        act = self._acts.pop()

        def done(_: None) -> None:
            act.forget()
            told(f"taken back: {act.said}")

        self._writes.write(act.back, doing="taking back what was said", then=done)

    def _say(self, take: Take, kind: Verdict | None) -> None:
        if kind is None:
            self.verdicts.pop(take, None)
        else:
            self.verdicts[take] = kind

    def _prefer(self, first: Take, better: Better | None) -> None:
        if self.takes.get("a") is first:
            self.better = better


def _recorded(kept: Kept) -> str:
    if kept.replaced:
        return f" · with {', '.join(f'#{number}' for number in kept.replaced)}, which it took the place of"
    return ""
