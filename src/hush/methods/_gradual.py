"""The loop of NoiseBreaker: find the dominating noise, remove it, look again, until the picture is clean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hush.core.image import Array
from hush.methods._agreed_level import with_all_noise
from hush.pretrained.noisebreaker.classes import NoiseClass
from hush.pretrained.noisebreaker.classifier import Verdict

HARDLY_CHANGED = 0.25  # grey levels: root mean square below which a step brings nothing
LOST_PIXELS = "bernoulli"  # their denoiser
LIKELY_LOST, LIKELY_DARK = 0.02, 0.1  # certainty from which on it goes first; where dark pixels may be 0 as well
WEAKER = 0.5  # of its level that noise which was removed has at most when it is found again

Look = Callable[[Sequence[Array]], Verdict]
Remove = Callable[[Array, NoiseClass, float], Array]


@dataclass(frozen=True)
class Choice:
    """A class of noise, how certain it is, and at what level its noise is."""

    noise: NoiseClass
    certainty: float
    level: float


@dataclass(frozen=True)
class Step:
    """One noise that was removed.

    Attributes
    ----------
    choice : Choice
    change : float
        Mean square of what was taken away, in squared grey levels.
    """

    choice: Choice
    change: float


@dataclass(frozen=True)
class Trail:
    """What the loop did.

    Attributes
    ----------
    steps : sequence of Step
        In order.
    stages : sequence of array, shape (C, Y, X)
        The first window before any step, and after each.
    ended : {"clean", "again", "hardly changed", "most", "told"}
        Why it stopped: no noise was found; the same noise came again, hardly weaker; a step would hardly have changed
        the picture; there were as many steps as may be; the classes were told.
    """

    steps: Sequence[Step]
    stages: Sequence[Array]
    ended: str

    @property
    def shares(self) -> list[float]:
        """Each step's share of all that was taken away, of 1."""
        total = sum(step.change for step in self.steps) or 1.0
        return [step.change / total for step in self.steps]


@dataclass(frozen=True)
class Loop:
    """Classify and denoise by turns.

    Attributes
    ----------
    table : sequence of NoiseClass
    look : callable
        Planes (Y, X) of one noise -> Verdict on the classes of the table.
    remove : callable
        (values (C, Y, X), class, level) -> the same without that noise.
    soft : bool
        Remove noise at the level that was found, and lost pixels first wherever they are likely at all; otherwise what
        is likeliest, at the middle of its class's range.
    agree : callable, optional
        (window, pixels with all their noise, class, level) -> a better level.
    """

    table: Sequence[NoiseClass]
    look: Look
    remove: Remove
    soft: bool = True
    agree: Callable[[Array, Array, NoiseClass, float], float] | None = None

    def blind(self, windows: Sequence[Array], most: int) -> Trail:
        """Remove what is found, at most so many times.

        Parameters
        ----------
        windows : sequence of array, shape (C, Y, X)
            Of one noise, in grey levels of a peak of 255.
        most : int
        """
        steps: list[Step] = []
        stages, whole = [windows[0]], with_all_noise(windows[0])
        while len(steps) < most:
            done = self._next(windows, whole, steps)
            if isinstance(done, str):
                return Trail(steps, stages, done)
            windows, step = done
            steps.append(step)
            stages.append(windows[0])
        return Trail(steps, stages, "most")

    def told(self, windows: Sequence[Array], classes: Sequence[NoiseClass]) -> Trail:
        """Remove the noise of given classes, the last that was applied first, each at a level within its range."""
        steps: list[Step] = []
        stages, whole = [windows[0]], with_all_noise(windows[0])
        for one in reversed(classes):
            verdict, number = self.look(_planes(windows)), self.table.index(one)
            choice = self._choice(verdict, number, windows, whole)
            within = replace(choice, level=float(np.clip(choice.level, *one.limits)))
            windows, step = self._step(windows, within)
            steps.append(step)
            stages.append(windows[0])
        return Trail(steps, stages, "told")

    def _next(
        self, windows: Sequence[Array], whole: Array, steps: Sequence[Step]
    ) -> tuple[Sequence[Array], Step] | Literal["clean", "again", "hardly changed"]:
        """The windows after one step more, or why there is none."""
        verdict = self.look(_planes(windows))
        for number in self._in_turn(verdict, windows, steps):
            if self.table[number].noise is None:
                return "clean"
            choice = self._choice(verdict, number, windows, whole)
            if steps and _no_weaker(choice, steps[-1].choice):
                return "again"
            after, step = self._step(windows, choice)
            if step.change >= HARDLY_CHANGED**2:
                return after, step
        return "hardly changed"

    def _in_turn(self, verdict: Verdict, windows: Sequence[Array], steps: Sequence[Step]) -> list[int]:
        """Classes that are tried: the likeliest, and before it lost pixels that may be there.

        What fills those leaves all else as it is; other denoisers smear them.
        """
        best, done = verdict.best, {step.choice.noise.denoiser for step in steps}
        if not self.soft or LOST_PIXELS in done or self.table[best].noise is None:
            return [best]
        lost = [k for k, one in enumerate(self.table) if one.denoiser == LOST_PIXELS and k != best]
        clipped = all(window.min() >= 0 for window in windows)
        least = LIKELY_DARK if clipped else LIKELY_LOST
        return [*(k for k in lost if verdict.probabilities[k] >= least), best]

    def _choice(self, verdict: Verdict, number: int, windows: Sequence[Array], whole: Array) -> Choice:
        one, level = self.table[number], float(verdict.levels[number])
        if not self.soft:
            level = float(np.mean(one.limits))
        elif self.agree is not None:
            level = self.agree(windows[0], whole, one, level)
        return Choice(one, float(verdict.probabilities[number]), level)

    def _step(self, windows: Sequence[Array], choice: Choice) -> tuple[list[Array], Step]:
        after = [self.remove(one, choice.noise, choice.level) for one in windows]
        away = [float(np.square(before - clean).mean()) for before, clean in zip(windows, after, strict=True)]
        return after, Step(choice, float(np.mean(away)))


def _planes(windows: Sequence[Array]) -> list[Array]:
    return [plane for window in windows for plane in window]


def _no_weaker(choice: Choice, before: Choice) -> bool:
    """Whether the same type of noise was found again, hardly weaker: its denoiser can do no more."""
    return choice.noise.denoiser == before.noise.denoiser and choice.level > WEAKER * before.level
