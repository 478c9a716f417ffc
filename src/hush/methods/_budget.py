"""How long methods take, and how much time an effort has for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hush.core.device import cores, device_of, precision_of
from hush.core.image import Image
from hush.pretrained import weights

BUDGET = {"fast": 2.0, "balanced": 20.0, "thorough": 180.0}  # seconds for a million pixels, on two cores
LEARNING = {"fast": 8.0, "balanced": 8.0, "thorough": 60.0}  # seconds of a training among them
JUDGED = 4.0  # seconds more until what was trained is judged
BM3D = 14.0  # seconds for a million pixels, on two cores
# the same of the network with test-time augmentation by eight; times as long with weights of more arithmetic
TURNS_COST, HEAVY = 2.7, 1.7
LOOPED, USUAL_NOISES = 1.5, 2  # of a look at noises, and how many are usual in a mixture
LEARNED = 5.0  # and of one that was trained on the image
# seconds of a step of training further what comes trained, and before the first of them
STEP_SECONDS, LOOK_SECONDS = 0.08, 2.0
USUAL_STEPS, FEWEST_STEPS = 150, 30  # such steps: the most that are taken, and the fewest that are worth it
BATCH = 4  # patches of such a step
FLOAT32, FLOAT32_STEP = 2.6, 4.4  # times as long where bfloat16 is not multiplied natively: a network, and its training


@dataclass(frozen=True)
class Clock:
    """What an effort has time for on a machine: told from these words alone, so the same for the same words.

    Parameters
    ----------
    effort : {"fast", "balanced", "thorough"}
    device : str
    precision : {"bfloat16", "float32"}
        Of a network's body. On a processor that does not multiply bfloat16 it takes longer.
    cores : int
        Of the processor, that may be used.

    Examples
    --------
    >>> Clock("balanced", "cpu", "float32", cores=2).slow
    True
    """

    effort: str
    device: str
    precision: str
    cores: int

    @classmethod
    def of(cls, effort: str, device: str | None, precision: str | None) -> Clock:
        """Return the clock of this machine, for a device and a precision; None: those that it takes.

        Nothing else here looks at the machine.
        """
        device = device_of(device)
        return cls(effort, device, precision_of(device, precision), cores())

    @property
    def slow(self) -> bool:
        """Whether networks take longer than on a processor of today."""
        return self.device == "cpu" and self.precision == "float32"

    def budget(self, image: Image, doubted: bool = False) -> float:
        """Return the seconds for an image; where there is no haste a result that is doubted is worth twice as many."""
        twice = 2 if doubted and self.effort != "fast" else 1
        return float(twice * BUDGET[self.effort] * max(1.0, image.data.size / 1e6))

    def seconds(self, method: str, settings: dict[str, Any], image: Image) -> float:
        """Return about how long a method takes for the whole image, and for its trial."""
        million, times = image.data.size / 1e6 / self._pairs, FLOAT32 if self.slow else 1.0
        if method == "bm3d":
            return float(BM3D * million)
        if method == "pretrained":
            best = settings.get("best") or settings.get("weights", "").endswith(weights.BEST)
            turns = settings.get("turns", 8) if settings.get("tta") else 1
            return float(times * (HEAVY if best else 1.0) * TURNS_COST * turns / 8 * million)
        if method == "noisebreaker":
            return float(LOOPED + times * USUAL_NOISES * TURNS_COST / 8 * million)
        if method == "finetuned":
            learning = (settings.get("steps") or USUAL_STEPS) * settings.get("batch", BATCH) / BATCH * self._step()
            return float(LOOK_SECONDS + learning) + self.seconds("pretrained", {"tta": True, "best": True}, image)
        return float(LEARNING[self.effort] + JUDGED + times * LEARNED * million)

    def turned(self, image: Image) -> dict[str, Any]:
        """Return whether there is time for test-time augmentation, as settings: eight turns and flips, two or none.

        With little time it takes half of it at most, however small the image.
        """
        every: dict[str, Any] = {"tta": True}
        for settings in (every, every | {"turns": 2}):
            if self.effort != "fast" or self.seconds("pretrained", settings, image) < BUDGET["fast"] / 2:
                return settings
        return {"tta": False}

    def learning(self, image: Image) -> dict[str, int]:
        """Return how what comes trained can learn an image further, as settings; none where too few steps are worth it.

        Where it costs less than half of them time is left for BM3D, which may then stand beside it. In little time many
        steps by few patches teach more than few by many.
        """
        left = self.budget(image) - LOOK_SECONDS - self.seconds("pretrained", {"tta": True, "best": True}, image)
        alone, beside = (
            min(USUAL_STEPS, int((left - other) / self._step())) for other in (0.0, self.seconds("bm3d", {}, image))
        )
        steps = beside if beside > max(FEWEST_STEPS, alone / 2) else alone
        if steps < FEWEST_STEPS:
            return {}
        whole = steps == USUAL_STEPS
        return {"steps": USUAL_STEPS if whole else min(USUAL_STEPS, 2 * steps), "batch": BATCH if whole else BATCH // 2}

    def _step(self) -> float:
        return STEP_SECONDS * (FLOAT32_STEP if self.slow else 1.0) / self._pairs

    @property
    def _pairs(self) -> float:
        """Pairs of cores."""
        return self.cores / 2
