"""Look at the noise, then choose the method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from hush import __version__
from hush.core import registry
from hush.core.errors import HushError, WeightsError
from hush.core.findings import Decision, Finding
from hush.core.image import Array, Image
from hush.core.pieces import Need
from hush.estimation.saturation import keep_flat
from hush.methods._base import (
    STRENGTHS,
    Denoiser,
    Images,
    Report,
    Result,
    Strength,
    as_images,
    demand,
    learning,
    untouched,
    warn,
)
from hush.methods._beside import tried
from hush.methods._budget import BUDGET, LEARNING, Clock
from hush.methods._certain import certain_shares, fill_with_bound, keep_the_rest
from hush.methods._ensemble import Blend, Candidate, Trial, beside, choose
from hush.methods._mosaic import is_mosaic
from hush.methods._noise_aware import PreparedInput
from hush.methods._photograph import colour_window, noise_of_camera
from hush.methods._rivals import CAMERA_KINDS, Rival, worth_a_trial
from hush.methods._surer_level import agreed, least_of, of_all, seen_in_means, unsure, with_lowest
from hush.pretrained import weights
from hush.quality.diagnostics import diagnose
from hush.quality.estimate import WINDOW, judge, middle

LOOK = 1024  # side of the window in which a result is looked at
LARGE_WINDOW = 512  # and of the one on which methods are tried where there is time
LEARNING_PIXELS = 170**2  # pixels of an image from which weights that know nearly all can still learn
LEVEL_FACTORS = (0.85, 1.2)  # multiples of the noise's level that may be used without a word
CONSISTENT = (0.75, 1.35)  # and at which the network may be self-consistent
SURELY = 1.1  # of 255: the level of a camera's noise that the gauge of the network for photographs must be sure of


@dataclass(kw_only=True, eq=False)
class Auto(PreparedInput):
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
        on BM3D, on Noise2Void where the image is small or the result is doubted, on Noise2VST where no law of the
        noise is known, and on SSDN.
    steps : int or None
        Training steps, where a network is trained.
    seconds : float or None
        Training time, where a network is trained and no steps are given; None: by the effort.
    device, precision : str or None
        Where to compute, and in what a network's body; None: the best there is.
    tile : int or None
        Side of a tile.
    tta : bool
        Test-time augmentation by all eight turns and flips also with little time for a large image.

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
        """Whether there is a method for the image that gives a per-pixel standard deviation; before `fit`: may be."""
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
        given = self.look_and_prepare(given)
        self.verdict_ = self.report_.verdict
        self.trials_: list[Trial] = []
        self.notes_: list[Finding] = []
        self.decisions_: list[Decision] = [] if self.scene_ is None else [self.scene_]
        self.chosen_: Denoiser | None = None
        self.usual_: Denoiser | None = None
        self.reason_ = self.usual_reason_ = self.report_.reason
        photograph = colour_window(given[0], self.report_, LOOK)
        surely = None
        if photograph is not None and noise_of_camera(photograph, self.report_):
            surely = self._gauged(photograph)
        if surely is not None:
            self._choose_for_photograph(Decision.at_least("camera-noise-level", surely[0], SURELY), given)
        elif self.report_.recommendation["method"] is not None:
            self._take_surer_level(given[0], photograph)
            self.chosen_ = self._with_neighbours(self._choose(given), given)
        return self

    def _decide(self, decision: Decision) -> bool:
        """Record a decision, and give its answer."""
        self.decisions_.append(decision)
        return decision.passed

    def _gauged(self, window: Image) -> tuple[float, float] | None:
        """The level that the network for photographs is sure of, where white is 255 and in units of the image.

        None without its weights.
        """
        try:
            model = self._build("pretrained", {"weights": weights.BLIND_WEIGHTS}).use(self.report_).fit([window])
        except WeightsError:
            return None
        surely, unit = vars(model)["surely_"], vars(model)["levels_"].unit
        return surely, surely * unit

    def _take_surer_level(self, image: Image, photograph: Image | None) -> None:
        """Raise the lowest likely level of white noise to what another estimate is sure of, and record how far."""
        raised = seen_in_means(self.report_, image)
        if photograph is not None and unsure(raised) and (surely := self._gauged(photograph)) is not None:
            raised = with_lowest(raised, of_all(raised, surely[1]))
        if raised is not self.report_:
            self.report_ = raised
            self.decisions_.append(least_of(raised))

    def _choose_for_photograph(self, camera: Decision, images: Sequence[Image]) -> None:
        """The network for photographs where its gauge is sure of noise; nothing where it is not."""
        noise = camera.value
        said = f"the network for photographs is sure of {noise:.2g} of 255 of it"
        if self._decide(camera):
            self.verdict_ = "Noise of a camera, smoothed and compressed."
            self.reason_ = Finding("camera-photograph", f"the weights for such photographs: {said}", noise)
            settings = {"weights": weights.BLIND_WEIGHTS} | self._augmented(images[0])
            self.chosen_ = self.usual_ = self._build("pretrained", settings).use(self.report_).fit(images)
        elif self.report_.recommendation["method"] is not None:
            self.verdict_ = "No noise to speak of: what looks like it is detail as a camera leaves it."
            self.reason_ = Finding("camera-detail", f"it stays as it is: {said}", noise)

    def _choose(self, images: Sequence[Image]) -> Denoiser | None:
        """The default, or what is surely better; None where there is nothing to remove."""
        name, settings, usual = self._usual(images)
        self.usual_, self.usual_reason_ = usual, self.reason_
        self.report_ = agreed(self.report_, usual.self_consistent)
        odd = self._odd(usual)
        window = middle(images[0])
        if not np.isfinite(np.asarray(window.data, np.float64)).all():
            return usual
        found = self._doubts(usual, window, usual.run(window).image)
        self.decisions_ += [Decision(f"residual-{one.code}", one.figure or 0.0, 0.0, False) for one in found]
        others = self._others(usual, odd or bool(found), images[0])
        if not others:
            return self._beside(usual, images)
        window = middle(images[0], self._side(images[0]))
        tried = [self._try(name, settings, usual, window)]
        for other, how in others:
            try:
                tried.append(self._try(other, how, self._build(other, how).use(self.report_).fit(images), window))
            except HushError as error:  # its weights are damaged, or there is too little to learn from
                name = str(how.get("weights", other))
                self.notes_.append(Finding("left-out", f"{name} was left out: {error}."))
        best, reason, compared = choose(tried)
        self.decisions_ += compared
        if isinstance(best.model, Blend):
            self.trials_.append(best.trial)
        self.reason_ = reason or self.reason_
        return best.model

    def _usual(self, images: Sequence[Image]) -> tuple[str, dict[str, Any], Denoiser]:
        """What is used unless something else is surely better, fitted."""
        advice = self.report_.recommendation
        name, settings = advice["method"], dict(advice["settings"])
        if name == "pretrained" and self.ndim == 3:
            self.reason_ = Finding("volume", "volumes are filtered as such: non-local means")
            name = "nlm"
        if name != "pretrained":
            return name, settings, self._build(name, settings).use(self.report_).fit(images)
        settings |= self._augmented(images[0]) | {"best": self.effort != "fast"}
        if is_mosaic(images[0]):
            settings["joint_channels"] = True
        try:
            model = self._build(name, settings).use(self.report_).fit(images)
            learning = {} if self.effort == "fast" else self._learning(model, images[0])
            if not learning:
                return name, settings, model
            self.reason_ = Finding("fine-tuned", f"{self.reason_}, fine-tuned on the image")
            settings = {"tta": True} | learning
            return "finetuned", settings, self._build("finetuned", settings).use(self.report_).fit(images)
        except WeightsError as error:
            self.notes_.append(
                Finding("weights-missing", f"{error}; BM3D serves instead ('hush weights' shows what is here).")
            )
            self.reason_ = Finding(
                "weights-missing", f"the shipped weights cannot be used ({error}): stabilised, then BM3D"
            )
            return "bm3d", {}, self._build("bm3d", {}).use(self.report_).fit(images)

    def _augmented(self, image: Image) -> dict[str, Any]:
        """Settings of test-time augmentation: what was asked for, or what there is time for."""
        return {"tta": True} if self.tta else self.clock_.turned(image)

    def _learning(self, model: Denoiser, image: Image) -> dict[str, int]:
        """How the weights are fine-tuned, if they are: on enough pixels, for a camera's white noise.

        Development micrographs gain by it. White noise on photographs is left to the weights for that.
        """
        camera = weights.card(model.weights_used).inputs.camera
        light = all(noise.white and noise.kind in CAMERA_KINDS for noise in self.report_.channels)
        if not (camera and light and image.samples() == 1):
            return {}
        if not self._decide(Decision.at_least("pixels-to-learn-from", image.data.size, LEARNING_PIXELS)):
            return {}
        return {"steps": self.steps} if self.steps else self.clock_.learning(image)

    def _odd(self, model: Denoiser) -> bool:
        """Note what speaks against the network before its result is looked at; whether something does."""
        levels = [Decision.within("level-used", factor, *LEVEL_FACTORS) for factor in model.level_factors]
        found = [one.factor for one in model.self_consistent if one]
        own = [Decision.within("level-self-consistent", factor, *CONSISTENT) for factor in found]
        self.decisions_ += levels + own
        odd = next((one.value for one in levels if not one.passed), None)
        strange = next((one.value for one in own if not one.passed), None)
        if odd is not None:
            sentence = (
                f"The noise looks {odd:.2g} times as strong as estimated or given, and is treated so: check the "
                "result, or give the noise with --noise."
            )
            self.notes_.append(Finding("level-changed", sentence, odd))
        elif strange is not None:
            sentence = (
                "The image or its noise is unlike what the weights were trained on: by them the noise is "
                f"{strange:.2g} times as strong as estimated, and masked pixels disagree; try --effort balanced."
            )
            self.notes_.append(Finding("level-inconsistent", sentence, strange))
        return odd is not None or strange is not None

    def _others(self, usual: Denoiser, doubted: bool, image: Image) -> list[Rival]:
        """What else is tried, as far as time goes: with little only where something speaks against the default."""
        learned = usual.method == "finetuned" and self.effort == "balanced"  # which took the time
        if self.ndim == 3 or ((self.effort == "fast" or learned) and not doubted):
            return []
        left, found = self.clock_.budget(image, doubted), []
        for name, settings in worth_a_trial(usual, self.report_, image, doubted=doubted, effort=self.effort):
            if name == usual.method and "weights" not in settings:
                continue
            needed = self.clock_.seconds(name, settings, image)
            if self._decide(Decision.at_most(f"seconds-{settings.get('weights', name)}", needed, left)):
                found.append((name, settings))
                left -= needed
        return found

    def _beside(self, usual: Denoiser, images: Sequence[Image]) -> Denoiser:
        """What learned from the image, and where there is time BM3D beside it: they err in different ways.

        They are not weighed by their errors: it learned from the very noise that it would be judged by. Development
        images gain by the mean, those most that are unlike what the weights were trained on.
        """
        if usual.method != "finetuned":
            return usual
        image, clock = images[0], self.clock_
        both = clock.seconds(usual.method, usual.settings, image) + clock.seconds("bm3d", {}, image)
        if not self._decide(Decision.at_most("seconds-bm3d-beside", both, clock.budget(image))):
            return usual
        self.reason_ = Finding("bm3d-beside", f"{self.reason_}, and beside it BM3D, which errs in other ways")
        return beside(usual, self._build("bm3d", {}).use(self.report_).fit(images))

    def _with_neighbours(self, alone: Denoiser | None, images: Sequence[Image]) -> Denoiser | None:
        """The network that sees the planes beside each one too, where that is surely better than each by itself."""
        if alone is None or alone.blind:
            return alone
        own: dict[str, Any] = {"ndim": 2, "tta": self.tta, "orientations": 1 if self.effort == "fast" else None}
        own |= {"scale": alone.level_factors[0]} if len(alone.level_factors) == 1 else {}

        def build() -> Denoiser:
            return self._build("neighbours", own).use(self.report_).fit(images)

        try:
            near, decisions, reason = tried(alone, build, images[0], self.report_, self.seed)
        except HushError as error:  # its weights are damaged
            self.notes_.append(Finding("left-out", f"neighbours was left out: {error}."))
            return alone
        self.decisions_ += decisions
        if near is None or reason is None:
            return alone
        self.reason_ = Finding(reason.code, f"{self.reason_}; {reason}", reason.figure)
        return near

    def _side(self, image: Image) -> int:
        """Side of the window on which methods are tried, each twice: the more of the image, the surer."""
        window = middle(image, LARGE_WINDOW)
        both = self.clock_.seconds("bm3d", {}, image) + 2 * self.clock_.seconds("bm3d", {}, window)
        return LARGE_WINDOW if self.effort != "fast" and both <= self.clock_.budget(image) else WINDOW

    def _build(self, name: str, settings: dict[str, Any]) -> Denoiser:
        """Build a method with the settings of this one that it has; the strength is given to `run`."""
        kind = registry.get("methods", name)
        own = self.settings | {"dark": None, "seconds": self.seconds or LEARNING[self.effort]}
        own = {key: value for key, value in own.items() if key in kind.settings_of() and key not in STRENGTHS}
        model: Denoiser = kind(**own | settings)
        return model

    def _try(self, name: str, settings: dict[str, Any], model: Denoiser, window: Image) -> Candidate:
        learn = learning(lambda: self._build(name, settings))
        risk, stein = judge(model.denoise, window, self.report_, self.seed, learn)
        self.trials_.append(Trial(name, settings, risk))
        return Candidate(self.trials_[-1], model, stein)

    # Applying ------------------------------------------------------------------------------------

    def run_prepared(
        self, image: Image, out: Array | None, done: Report | None, std: Array | None, strength: Strength
    ) -> Result:
        """Denoise with the chosen method; ``info`` has ``chosen``, ``reason``, ``decisions`` and ``trials``."""
        model, reason = self._model_for(std)
        if model is None:
            result = untouched(self, image, out, std)
            if result.std is not None:
                fill_with_bound(image, result.std, self.report_)
        else:
            result = model.run(image, out, done, std, strength)
            if not self.is_frozen:
                self._checked(model, image, result, strength)
            self._keep_what_may_be_signal(image, model, result)
            share = keep_flat(image, result.image.data, result.std.data if result.std is not None else None)
            if share:
                result.info["kept"] = share
        result.info |= self._said(model, reason)
        return Result(
            result.image.with_meta(hush={"version": __version__, "method": self.method}),
            result.std,
            result.info | {"method": self.method, "settings": self.settings},
        )

    def _keep_what_may_be_signal(self, image: Image, model: Denoiser, result: Result) -> None:
        """Remove no more than what is surely noise; say how much that is where it is not all."""
        if not self.is_frozen:
            self.shares_ = self._shares(image, model, result)
        self.share_ = min(1.0, *self.shares_)
        if self.share_ < 1:
            keep_the_rest(image, result, self.shares_, self.report_)

    def _shares(self, image: Image, model: Denoiser, result: Result) -> list[float]:
        """The share of what was removed that is surely noise, for every channel."""
        if model.blind:
            return [1.0]
        before, after = middle(image, LOOK), middle(result.image, LOOK)
        return certain_shares(before, after, self.report_, model.denoise)

    def need_prepared(self, image: Image) -> Need:
        """Say what the chosen method, or the usual one, needs to work on pieces of an image."""
        together = self.reason_.code == "neighbours"  # a piece does not hold all planes: each is denoised by itself
        if together or not (self.chosen_ is None or self.chosen_.cuts):
            self.chosen_, self.reason_ = self.usual_, self.usual_reason_
        models = [model for model in (self.chosen_, self.usual_) if model is not None]
        needs = [model.need(image) for model in models]
        return max(needs, key=lambda need: need.margin * need.pixel_bytes, default=Need(1, 1, LOOK, 64))

    def freeze_prepared(self, shown: Image) -> None:
        """Find out what the chosen method must know of all planes, and how much of what it removes is surely noise."""
        if self.chosen_ is not None and not hasattr(self, "shares_"):
            window = middle(shown, LOOK)
            self.shares_ = self._shares(window, self.chosen_, self.chosen_.run(window))
        same = self.usual_ is self.chosen_
        self.chosen_ = self.chosen_ and self.chosen_.frozen(shown)
        self.usual_ = self.chosen_ if same else self.usual_ and self.usual_.frozen(shown)

    def _model_for(self, std: Array | None) -> tuple[Denoiser | None, Finding]:
        """The chosen method, or the usual one where a standard deviation is asked for that the other does not know."""
        model, reason = self.chosen_, self.reason_
        if std is None or model is None or self.usual_ is None or model.uncertain:
            return model, reason
        why = (
            f"{self.usual_reason_} ({model.method} may be better and gives no standard deviation, which was asked for)"
        )
        return self.usual_, Finding("uncertainty-asked", why)

    def _said(self, model: Denoiser | None, reason: Finding) -> dict[str, Any]:
        """What the page and ``--json`` say of the choice."""
        apart = self.scene_ is not None and not self.scene_.passed
        first = "the colours share no structure, so each is denoised by itself; " if apart else ""
        first += "the stripes are taken off; " if self._striped else ""
        last = f"; {self.share_:.0%} of it, which is surely noise" if model is not None and self.share_ < 1 else ""
        ranked = sorted(self.trials_, key=lambda trial: trial.risk.value)
        info = {
            "chosen": model.method if model is not None else None,
            "reason": f"{self.verdict_} So: {first}{reason}{last}.",
            "reason_code": reason.code,
            "noise": self.found_.as_dict()["noise"],
            "share": self.share_ if model is not None else 0.0,
            "decisions": [one.as_dict() for one in self.decisions_],
            "trials": [
                {"method": one.method, "settings": one.settings, "risk": one.risk.value, "error": one.risk.error}
                for one in ranked
            ],
        }
        if ranked:
            words = (f"{trial.name} {trial.risk.value:.3g} ± {trial.risk.error:.1g}" for trial in ranked)
            info["tried"] = "; ".join(words) + " (mean squared error in units of the noise's variance)"
        return info

    def _doubts(self, model: Denoiser, noisy: Image, clean: Image) -> list[Finding]:
        """What speaks against a result; the network may have used another level than the analysis found."""
        if model.blind:
            return []  # there is no level to compare with
        return diagnose(noisy, clean, self.report_, float(np.median(model.level_factors or [1.0])))

    def _checked(self, model: Denoiser, noisy: Image, result: Result, strength: Strength) -> None:
        """Warn of what speaks against a result; where part of the noise was to stay nothing can be said."""
        found = list(self.notes_)
        if strength.full:
            found += self._doubts(model, middle(noisy, LOOK), middle(result.image, LOOK))
        for one in found:
            warn(result.info, one)
