"""Look at the noise, then choose the method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from hush import __version__
from hush.core import registry
from hush.core.errors import HushError
from hush.core.image import Array, Image
from hush.estimation.camera_pipeline import eight_bits, everywhere, of_a_camera
from hush.estimation.report import MANY
from hush.estimation.saturation import keep_flat
from hush.methods._base import STRENGTHS, Denoiser, Images, Report, Result, as_images, demand, learning, untouched, warn
from hush.methods._budget import BUDGET, LEARNING, Clock
from hush.methods._ensemble import Blend, Candidate, Trial, beside, choose
from hush.methods._noise_aware import Seeing
from hush.pretrained import weights
from hush.quality.diagnostics import doubts, texture
from hush.quality.estimate import WINDOW, judge, middle

LOOK = 1024  # side of the window in which a result is looked at
LARGE = 512  # and of the one on which methods are tried where there is time
ENOUGH = 170**2  # pixels of an image from which weights that know nearly all can still learn
NETWORKS, LIGHT = ("pretrained", "finetuned"), ("poisson", "poisson_gaussian")
LEVELS = (0.85, 1.2)  # multiples of the noise's level that may be used without a word
AT_PEACE = (0.75, 1.35)  # and at which the network may be at peace with itself
PHOTOGRAPH = 1.0  # of 255, in brightness: noise that the network for photographs must find in half of all blocks


@dataclass(kw_only=True, eq=False)
class Auto(Seeing):
    """Analyse the noise, denoise with the network that comes with hush, check the result, and say why.

    A clean image comes back untouched. Where what was removed speaks against the result, or where there is time,
    other methods are tried on a window of the image; one takes the network's place only if its estimated risk is
    lower by two standard errors, and a weighted mean of them only if its own is. A background of one value, and
    saturated areas, stay what they are.

    Parameters
    ----------
    effort : {"fast", "balanced", "thorough"}
        About 2, 20 or 180 seconds for a million pixels on two cores. More time is spent on the mean over turned
        images, on larger weights, on training them further on the image where it is grey and its noise a camera's,
        on BM3D, on Noise2Void where the image is small or the result is doubted, and on SSDN.
    steps : int or None
        Training steps, where a network is trained.
    seconds : float or None
        Training time, where a network is trained and no steps are given; None: by the effort.
    device, precision : str or None
        Where to compute, and in what a network's body; None: the best there is.
    tile : int or None
        Side of a tile.
    tta : bool
        Mean over all eight turned images also with little time for a large image.

    Notes
    -----
    Use it when you know nothing about the noise, or do not want to choose.

    ::

        k* = argmin_k R(f_k)
        R(f) ≈ E‖f(y) - x‖² / n

    The risk R is Stein's estimate, or the error at masked pixels, since nobody has x. Raise `effort` where a pattern
    repeats (cloth, gratings, tiles) or the result is doubted; lower it for large stacks.

    References
    ----------
    * C. M. Stein, Estimation of the mean of a multivariate normal distribution, Annals of Statistics 1981.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> Auto().fit(noisy).run(noisy).info["chosen"]
    'pretrained'
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"

    effort: Literal["fast", "balanced", "thorough"] = "fast"
    steps: int | None = None
    seconds: float | None = None
    device: str | None = None
    precision: Literal["bfloat16", "float32"] | None = None
    tile: int | None = None
    tta: bool = False

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        demand(self.effort in BUDGET, "effort", self.effort, ", ".join(BUDGET))
        demand(self.seconds is None or self.seconds > 0, "seconds", self.seconds, "more than 0, or none")

    @property
    def uncertain(self) -> bool:
        """Whether there is a method for the image that gives a standard deviation a pixel; before `fit`: may be."""
        models = [getattr(self, name, None) for name in ("chosen_", "usual_")]
        return models[0] is None or any(model is not None and model.uncertain for model in models)

    # Choosing ------------------------------------------------------------------------------------

    def fit(self, images: Images, targets: Images | None = None) -> Self:
        """Analyse the image, choose the method and fit it."""
        self.check()
        given = as_images(images)
        if not given:
            raise HushError("there is no image to look at")
        self.clock_ = Clock.of(self.effort, self.device, self.precision)
        self.report_ = self.look(given[0])
        given = [self.seen(image) for image in given]
        self.trials_: list[Trial] = []
        self.notes_: list[str] = []
        self.reason_ = self.usual_reason_ = self.report_.recommendation["reason"]
        self.chosen_: Denoiser | None = None
        self.usual_: Denoiser | None = None
        self.verdict_ = self.report_.verdict
        settings = {"weights": weights.BLIND} | self._turned(given[0])
        away = self._photograph(given[0])
        if away is not None and away >= PHOTOGRAPH:
            self.verdict_ = "Noise of a camera, which smoothed and compressed it: no level of it can be told."
            self.reason_ = (
                f"a network that comes with hush and knows such photographs, told nothing; it finds {away:.2g} of 255"
            )
            self.chosen_ = self.usual_ = self._build("pretrained", settings).fit(given)
        elif away is not None:
            if self.report_.recommendation["method"] is not None:
                self.verdict_ = "No noise to speak of: what could be some is detail as a camera leaves it."
                self.reason_ = f"it stays as it is; the network that knows photographs finds {away:.2g} of 255"
        elif self.report_.recommendation["method"] is not None:
            self.chosen_ = self._choose(given)
        return self

    def _photograph(self, image: Image) -> float | None:
        """How much noise in brightness the network for photographs finds, of 255; None where the analysis knows better.

        That is where noise is not a camera's: of each colour by itself, or pixels are lost in all.
        """
        noises = self.report_.channels
        if noises[0].said or image.samples() != 3 or image.channels > 1:
            return None
        window = middle(image, LOOK)
        plane = next(iter(window.planes(2)))
        colours = np.asarray(plane.view(window.data), np.float32)
        if not eight_bits(colours):
            return None
        if all(noise.impulse_fraction >= MANY for noise in noises):
            return None
        if self.report_.recommendation["method"] is not None and not of_a_camera(colours):
            return None
        try:
            clean = self._build("pretrained", {"weights": weights.BLIND}).fit([window]).run(window).image.data
        except HushError:  # the weights are missing or damaged
            return None
        return everywhere(plane.view(clean) - colours)

    def _choose(self, images: Sequence[Image]) -> Denoiser | None:
        """The default, or what is surely better; None where there is nothing to remove."""
        name, settings, usual = self._usual(images)
        if like := texture(self.report_, getattr(usual, "own_", [])):
            self.verdict_, self.reason_ = "No noise to speak of: what neighbours share looks like texture.", like
            return None
        self.usual_, self.usual_reason_ = usual, self.reason_
        odd = self._odd(usual)
        window = middle(images[0])
        if not np.isfinite(np.asarray(window.data, np.float64)).all():
            return usual
        doubted = odd or bool(self._doubts(usual, window, usual.run(window).image))
        others = self._others(usual, doubted, images[0])
        if not others:
            return self._beside(usual, images)
        window = middle(images[0], self._side(images[0]))
        tried = [self._try(name, settings, usual, window)]
        for other, how in others:
            try:
                tried.append(self._try(other, how, self._build(other, how).fit(images), window))
            except HushError as error:  # its weights are damaged, or there is too little to learn from
                self.notes_.append(f"{how.get('weights', other)} was left out: {error}")
        best, reason = choose(tried)
        if isinstance(best.model, Blend):
            self.trials_.append(best.trial)
        self.reason_ = reason or self.reason_
        return best.model

    def _usual(self, images: Sequence[Image]) -> tuple[str, dict[str, Any], Denoiser]:
        """What is used unless something else is surely better, fitted."""
        advice = self.report_.recommendation
        name, settings = advice["method"], dict(advice["settings"])
        if name == "pretrained" and self.ndim == 3:
            self.reason_ = "volumes are filtered as such: non-local means"
            name = "nlm"
        if name != "pretrained":
            return name, settings, self._build(name, settings).fit(images)
        settings |= self._turned(images[0]) | {"best": self.effort != "fast"}
        try:
            model = self._build(name, settings).fit(images)
            learning = self._learns(model, images[0])
            if self.effort == "fast" or not learning:
                return name, settings, model
            self.reason_ += ", trained further on the image"
            settings = {"tta": True} | learning
            return "finetuned", settings, self._build("finetuned", settings).fit(images)
        except HushError as error:  # weights are missing or damaged
            self.notes_.append(f"{error}; BM3D serves instead ('hush weights' shows what is here)")
            self.reason_ = f"the weights that come with hush cannot be used ({error}): stabilised, then BM3D"
            return "bm3d", {}, self._build("bm3d", {}).fit(images)

    def _turned(self, image: Image) -> dict[str, Any]:
        """Settings of the mean over turned images: what was asked for, or what there is time for."""
        return {"tta": True} if self.tta else self.clock_.turned(image)

    def _learns(self, model: Denoiser, image: Image) -> dict[str, int]:
        """How what comes trained is trained further, if it is: on enough pixels, for a camera's white noise.

        Development micrographs gain by it. White noise on photographs is left to the weights for that.
        """
        camera = weights.card(getattr(model, "taken_", "")).get("camera")
        light = all(noise.white and noise.kind in LIGHT for noise in self.report_.channels)
        worth = camera and light and image.samples() == 1 and image.data.size >= ENOUGH
        if not worth:
            return {}
        return {"steps": self.steps} if self.steps else self.clock_.learning(image)

    def _odd(self, model: Denoiser) -> bool:
        """Note what speaks against the network before its result is looked at; whether something does."""
        if model.method not in NETWORKS:
            return False
        odd = [scale for scale in getattr(model, "values_", []) if not LEVELS[0] < scale < LEVELS[1]]
        strange = [own for own in getattr(model, "own_", []) if not AT_PEACE[0] < own < AT_PEACE[1]]
        if odd:
            self.notes_.append(
                f"the noise looks {odd[0]:.2g} times as strong as was found or said, and is treated so: look at the "
                "result with care, or say the noise with --noise"
            )
        elif strange:
            self.notes_.append(
                "what is in the image, or its noise, is unlike what the weights have seen: to them the noise looks "
                f"{strange[0]:.2g} times as strong as was found, and hidden pixels disagree; try --effort balanced"
            )
        return bool(odd or strange)

    def _others(self, usual: Denoiser, doubted: bool, image: Image) -> list[tuple[str, dict[str, Any]]]:
        """What else is tried, as far as time goes: with little only where something speaks against the default."""
        learning = usual.method == "structn2v"  # from one image: what comes trained may be better, stripes or not
        learned = usual.method == "finetuned" and self.effort == "balanced"  # which took the time
        if self.ndim == 3 or ((self.effort == "fast" or learned) and not doubted and not learning):
            return []
        mask = next((channel.mask for channel in self.report_.channels if channel.mask), None)
        wanted: list[tuple[str, dict[str, Any]]] = [("pretrained", {})] if learning else []
        if learned:
            wanted.append(("pretrained", {"best": True, "tta": True}))
        wanted.append(("bm3d", {}))
        if self.effort != "fast":
            rival = weights.rival(image.samples(), getattr(usual, "taken_", ""), best=True)
            if usual.method in NETWORKS and rival and not mask:
                wanted.append(("pretrained", {"weights": rival, "tta": True}))
            if doubted or not mask or self.effort == "thorough":
                wanted.append(("structn2v", {"mask": mask, "tta": True}) if mask else ("n2v", {"tta": True}))
        if self.effort == "thorough" and not mask:
            wanted.append(("ssdn", {}))
        left, found = self.clock_.budget(image, doubted), []
        for name, settings in wanted:
            needed = self.clock_.seconds(name, settings, image)
            if needed <= left and (name != usual.method or "weights" in settings):
                found.append((name, settings))
                left -= needed
        return found

    def _beside(self, usual: Denoiser, images: Sequence[Image]) -> Denoiser:
        """What learned the image, and where there is time BM3D beside it: they err in different ways.

        They are not weighed by their errors: it learned from the very noise that it would be judged by. Development
        images gain by the mean, those most that are unlike what the weights have seen.
        """
        if usual.method != "finetuned":
            return usual
        image, clock = images[0], self.clock_
        if clock.seconds(usual.method, usual.settings, image) + clock.seconds("bm3d", {}, image) > clock.budget(image):
            return usual
        self.reason_ += ", and beside it BM3D, which errs in other ways"
        return beside(usual, self._build("bm3d", {}).fit(images))

    def _side(self, image: Image) -> int:
        """Side of the window on which methods are tried, each twice: the more of the image, the surer."""
        window = middle(image, LARGE)
        both = self.clock_.seconds("bm3d", {}, image) + 2 * self.clock_.seconds("bm3d", {}, window)
        return LARGE if self.effort != "fast" and both <= self.clock_.budget(image) else WINDOW

    def _build(self, name: str, settings: dict[str, Any]) -> Denoiser:
        """Build a method with what this one was told."""
        kind = registry.get("methods", name)
        whole = {"strength": 1.0, "strength_luma": None, "strength_chroma": None}  # only what is given back is mixed
        own = self.settings | whole | {"dark": None, "seconds": self.seconds or LEARNING[self.effort]}
        known = {key: value for key, value in own.items() if key in kind.settings_of()}
        model: Denoiser = kind(**known | settings)
        return model

    def _try(self, name: str, settings: dict[str, Any], model: Denoiser, window: Image) -> Candidate:
        learn = learning(lambda: self._build(name, settings))
        risk, stein = judge(model.denoise, window, self.report_, self.seed, learn)
        self.trials_.append(Trial(name, settings, risk))
        return Candidate(self.trials_[-1], model, stein)

    # Applying ------------------------------------------------------------------------------------

    def run_seen(self, image: Image, out: Array | None, done: Report | None, std: Array | None) -> Result:
        """Denoise with the chosen method; ``info`` has ``chosen``, ``reason`` and, where some were made, ``trials``."""
        if not hasattr(self, "report_"):
            raise HushError(f"{type(self).__name__} has learned nothing yet: call fit first")
        noisy, model, reason = image, self.chosen_, self.reason_
        if std is not None and model is not None and self.usual_ is not None and not model.uncertain:
            # a better result without the deviation that was asked for is of no use
            reason = f"{self.usual_reason_} ({model.method} may be better and gives no deviation, which was asked for)"
            model = self.usual_
        if model is None:
            result = untouched(self, noisy, out, std)
        else:
            for name in STRENGTHS:
                setattr(model, name, getattr(self, name))
            result = model.run(noisy, out, done, std)
            self._checked(model, noisy, result)
            share = keep_flat(noisy, result.image.data, result.std.data if result.std is not None else None)
            if share:
                result.info["kept"] = share
        result.info["chosen"] = model.method if model is not None else None
        result.info["reason"] = f"{self.verdict_} So: {reason}."
        result.info["noise"] = self.report_.as_dict()["noise"]
        ranked = sorted(self.trials_, key=lambda trial: trial.risk.value)
        if ranked:
            words = (f"{trial.name} {trial.risk.value:.3g} ± {trial.risk.error:.1g}" for trial in ranked)
            result.info["tried"] = "; ".join(words) + " (mean squared error in units of the noise's variance)"
        result.info["trials"] = [
            {"method": trial.method, "settings": trial.settings, "risk": trial.risk.value, "error": trial.risk.error}
            for trial in ranked
        ]
        return Result(
            result.image.with_meta(hush={"version": __version__, "method": self.method}),
            result.std,
            result.info | {"method": self.method, "settings": self.settings},
        )

    def _doubts(self, model: Denoiser, noisy: Image, clean: Image) -> list[str]:
        """What speaks against a result; the network may have used another level than the analysis found."""
        if getattr(model, "blind", False):
            return []  # there is no level to compare with
        model = model.models[0] if isinstance(model, Blend) else model
        level = float(np.median(getattr(model, "values_", [1.0]))) if model.method in NETWORKS else 1.0
        return doubts(noisy, clean, self.report_, level)

    def _checked(self, model: Denoiser, noisy: Image, result: Result) -> None:
        """Say what speaks against a result; where part of the noise was to stay nothing can be said."""
        said = list(self.notes_)
        if result.image.data.dtype.kind in "ui" and any(one.photons for one in self.report_.channels):
            said.append("there are few photons a pixel, and whole numbers hold no part of one: --float keeps them")
        elif all(getattr(self, name) in (None, 1) for name in STRENGTHS):
            said += self._doubts(model, middle(noisy, LOOK), middle(result.image, LOOK))
        for text in said:
            warn(result.info, text)
