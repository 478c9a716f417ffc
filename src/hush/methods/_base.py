"""Denoiser, the contract that every method keeps, and its Result."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import types
import typing
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from threading import Lock
from typing import Any, ClassVar, Self

import numpy as np

from hush import __version__
from hush.core.color import LUMA
from hush.core.device import available_memory, peak_memory_mb
from hush.core.errors import SettingError, unknown
from hush.core.findings import Finding
from hush.core.image import Array, Image, as_image
from hush.core.lazy import Lazy
from hush.core.sample import sample_of
from hush.estimation.report import NoiseReport
from hush.methods._pieces import Freezing, run_in_pieces
from hush.methods._sharpen import sharpen
from hush.quality.risk import Consistent

Images = Sequence[Image | Array] | Image | Array
Report = Callable[..., None]
SAYING = Lock()  # planes may be worked on at once
STRENGTH_SHARES = ("strength", "strength_luma", "strength_chroma")
STRENGTHS = (*STRENGTH_SHARES, "sharpen")  # of a result: nothing that was learned or chosen depends on it


@dataclass(frozen=True)
class Strength:
    """Share of the noise that is removed: of everything, or of a colour image's brightness and colours apart.

    Attributes
    ----------
    all : float
        0 (nothing is removed) to 1.
    luma, chroma : float or None
        None: as `all`.
    """

    all: float = 1.0
    luma: float | None = None
    chroma: float | None = None

    @property
    def full(self) -> bool:
        """Whether all of the noise is removed."""
        return all(share in (None, 1) for share in (self.all, self.luma, self.chroma))

    @property
    def grey(self) -> Strength:
        """The strength for an image that has brightness only."""
        return Strength(self.all if self.luma is None else self.luma)

    def mix(self, noisy: Array, clean: Array) -> Array:
        """Return denoised values (C, [Z,] Y, X) with the share of the noise that is to stay."""
        if self.luma is None and self.chroma is None:
            return clean if self.all == 1 else noisy + self.all * (clean - noisy)
        luma, chroma = (self.all if share is None else share for share in (self.luma, self.chroma))
        away = clean - noisy
        bright = np.tensordot(LUMA, away, 1)
        return noisy + luma * bright + chroma * (away - bright)

    def check(self, image: Image) -> None:
        """Refuse strengths of colours for an image that has none."""
        if (self.luma is not None or self.chroma is not None) and image.samples() != 3:
            raise SettingError("the strengths of luma and chroma are for colour images (RGB); --strength is for all")


@dataclass
class Result:
    """What a run gives.

    Attributes
    ----------
    image : Image
        The denoised image: same axes, shape, dtype, range, scale and metadata as the noisy one.
    std : Image or None
        Per-pixel standard deviation, in image units, where the method knows it.
    info : dict
        ``method, settings, reason, seed, steps, seconds, device, precision, axes, ndim, warnings, loss``.
    """

    image: Image
    std: Image | None = None
    info: dict[str, Any] = field(default_factory=dict)

    def with_axes(self, axes: str) -> Result:
        """Return it with other names of the axes: the values stay where they are."""
        std = None if self.std is None else dataclasses.replace(self.std, axes=axes)
        return Result(dataclasses.replace(self.image, axes=axes), std, self.info | {"axes": axes})


@dataclass(kw_only=True, eq=False)
class Denoiser(Freezing):
    """A method that removes noise: scikit-learn's contract.

    The constructor stores its arguments and does nothing else; `fit` learns, what it learned ends
    in ``_``; `denoise` and `run` apply it. With ``sharpen`` what they give is sharpened, as a last step; see
    `hush.methods._sharpen.sharpened`.

    Attributes
    ----------
    needs : str
        What `fit` must be given: ``"nothing"``, ``"noisy"``, ``"noisy pairs"``, ``"clean"``, ``"noisy and clean"``,
        ``"noisy volumes"`` (a series of one place).
    scope : str
        ``"collection"``: fit on many, apply to new ones; ``"image"``: fits each image by itself.
    fixed_size : tuple or None
        The only size it takes, for a method that cannot be tiled.
    learned_from_image : bool
        Whether `fit` learned from the very noise that it is to remove: of its own error it then knows little.
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "collection"
    fixed_size: ClassVar[tuple[int, ...] | None] = None
    learned_from_image: ClassVar[bool] = False

    ndim: int = 2
    joint_channels: bool = False
    strength: float = 1.0
    strength_luma: float | None = None
    strength_chroma: float | None = None
    sharpen: bool = False
    seed: int = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let the method's `run` end with the sharpening, where that is asked for."""
        super().__init_subclass__(**kwargs)
        if "run" in vars(cls):
            cls.run = _ending_sharp(cls.run)  # type: ignore[method-assign]

    def __new__(cls, **settings: Any) -> Self:
        """Refuse a setting that there is not, as the command line does."""
        for name in settings:
            if name not in cls.settings_of():
                raise unknown(f"setting of {cls.__name__}", name, cls.settings_of(), SettingError)
        return super().__new__(cls)

    @classmethod
    def settings_of(cls) -> dict[str, dataclasses.Field[Any]]:
        """The constructor's arguments by name."""
        return {item.name: item for item in dataclasses.fields(cls) if item.init}

    @classmethod
    def from_text(cls, pairs: Sequence[str], **known: Any) -> Self:
        """Build from ``name=value`` texts, each checked against the constructor.

        Raises
        ------
        SettingError
            For an unknown name (with "did you mean") or a value of the wrong type.
        """
        hints = typing.get_type_hints(cls)
        for pair in pairs:
            name, equals, text = pair.partition("=")
            name = name.strip().replace("-", "_")
            if not equals:
                raise SettingError(f"--set takes name=value, and was given {pair!r}")
            if name not in cls.settings_of():
                raise unknown(f"setting of {cls.__name__}", name, cls.settings_of(), SettingError)
            known[name] = parse(name, text.strip(), hints[name])
        return cls(**known)

    @property
    def settings(self) -> dict[str, Any]:
        """The values that the constructor stored."""
        return {name: getattr(self, name) for name in self.settings_of()}

    @property
    def own_strength(self) -> Strength:
        """The strength that its settings say."""
        return Strength(self.strength, self.strength_luma, self.strength_chroma)

    @property
    def uncertain(self) -> bool:
        """Whether it gives a per-pixel standard deviation."""
        return False

    @property
    def blind(self) -> bool:
        """Whether it is given nothing about the noise."""
        return False

    @property
    def level_factors(self) -> Sequence[float]:
        """Multiples of the estimated noise level that it uses, one a channel; empty for a method that chooses none."""
        return ()

    @property
    def self_consistent(self) -> Sequence[Consistent | None]:
        """Multiples of that level at which its estimate explains the residual; empty where that is not known."""
        return ()

    @property
    def weights_used(self) -> str:
        """Name of the shipped weights that it took; empty for a method that takes none."""
        return ""

    @property
    def label(self) -> str:
        """Its name, or that of the weights that were asked for."""
        return self.method

    def use(self, report: NoiseReport) -> Self:
        """Take the noise from an analysis that was made before, where a method would make one; returns self."""
        return self

    @property
    def method(self) -> str:
        """The public name: the name of the file."""
        return type(self).__module__.rpartition(".")[2]

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises
        ------
        SettingError
            Naming the setting, its value, and what is possible.
        """
        hints = typing.get_type_hints(type(self))
        for name, value in self.settings.items():
            demand(_suits(value, hints[name]), name, value, _wanted(hints[name]))
        demand(self.ndim in (2, 3), "ndim", self.ndim, "2 or 3")
        for name in STRENGTH_SHARES:
            value = getattr(self, name)
            usual = "" if name == "strength" else ", or none: as strength"
            demand(value is None or 0 <= value <= 1, name, value, f"0 (nothing is removed) to 1 (all of it){usual}")
        demand(self.seed >= 0, "seed", self.seed, "0 or more")

    def expectation(self, images: Sequence[Image], models: int = 1) -> str:
        """Say in a sentence what will be done, how long it takes and how much memory."""
        return f"{self.method} on {len(images)} image{'s' * (len(images) > 1)}"

    def fit(self, images: Images, targets: Images | None = None) -> Self:
        """Learn from images; see the method's own text for what it needs."""
        return self

    def denoise(self, image: Image | Array, out: Array | None = None) -> Image:
        """Return the image without its noise: same axes, shape, dtype, range, scale and metadata.

        Parameters
        ----------
        image : Image or array
            The noisy image.
        out : array, optional
            A writable array of the image's shape and dtype; the result is streamed into it.
        """
        return self.run(image, out).image

    def run(
        self,
        image: Image | Array,
        out: Array | None = None,
        done: Report | None = None,
        std: Array | None = None,
        strength: Strength | None = None,
    ) -> Result:
        """Denoise and say everything about it; a method answers this one.

        Parameters
        ----------
        image : Image or array
            With the same channels as what `fit` was given.
        out : array, optional
            Writable, of the image's shape and dtype, for streaming.
        done : callable, optional
            (tile, tiles) after every tile.
        std : array of float32, optional
            Writable, of the image's shape: for the per-pixel standard deviation, where the method is `uncertain`.
        strength : Strength, optional
            Instead of the settings' own.
        """
        raise TypeError(f"{type(self).__name__} has no run: a method of hush.methods answers it")


def _ending_sharp(run: Callable[..., Result]) -> Callable[..., Result]:
    """Return a method's `run` that sharpens what it gives, if the method's settings say so."""

    @functools.wraps(run)
    def sharp(
        self: Denoiser,
        image: Image | Array,
        out: Array | None = None,
        done: Report | None = None,
        std: Array | None = None,
        strength: Strength | None = None,
    ) -> Result:
        noisy = as_image(image) if self.sharpen or not isinstance(image, Image) else image  # a guess is said once
        if isinstance(noisy, Image) and isinstance(noisy.data, Lazy):
            return _in_pieces(self, noisy, out, done, std, strength)
        result = run(self, noisy, out, done, std, strength)
        if self.sharpen and type(self).run is sharp:  # not in the run of a class above, which it calls
            sharpen(result.image, noisy)
            if result.std is not None:
                sentence = "The standard deviation is that before the sharpening, which makes it larger."
                warn(result.info, Finding("std-before-sharpening", sentence))
        return result

    return sharp


def _in_pieces(
    self: Denoiser, noisy: Image, out: Array | None, done: Report | None, std: Array | None, strength: Strength | None
) -> Result:
    """Denoise an image that is stored in pieces; see `Denoiser.run`."""
    out = np.empty(noisy.data.shape, noisy.data.dtype) if out is None else out
    info = run_in_pieces(self, noisy, out, available_memory() // 2, done, std, strength)
    said, info["warnings"] = info["warnings"], []
    for one in said:
        warn(info, Finding(**one))
    note = {"version": __version__, "method": self.method}
    return Result(dataclasses.replace(noisy, data=out).with_meta(hush=note), spread_of(noisy, std, note), info)


def learning(build: Callable[[], Denoiser]) -> Callable[[Image], Callable[[Image], Image]] | None:
    """Return how a method learns anew from an image, see `hush.quality.estimate.judge`; None if it learns from none."""
    if not build().learned_from_image:
        return None
    return lambda image: build().fit([image]).denoise


def spread_of(image: Image, std: Array | None, note: Mapping[str, Any]) -> Image | None:
    """Return standard deviations as an image like the noisy one."""
    if std is None:
        return None
    return dataclasses.replace(image, data=std).with_meta(hush={**note, "what": "standard deviation"})


def untouched(model: Denoiser, noisy: Image, out: Array | None = None, std: Array | None = None) -> Result:
    """Return what a method gives that leaves an image as it is, with no deviation."""
    clean = np.array(noisy.data) if out is None else out
    clean[...] = noisy.data
    if std is not None:
        std[...] = 0
    info: dict[str, Any] = {
        "warnings": [],
        "seed": model.seed,
        "steps": 0,
        "seconds": 0.0,
        "device": "cpu",
        "precision": "float32",
        "peak_memory_mb": peak_memory_mb(),
        "axes": noisy.axes,
        "ndim": model.ndim,
        "loss": [],
    }
    if noisy.data.size and (np.asarray(noisy.data) == np.asarray(noisy.data).flat[0]).all():
        warn(info, Finding("constant", "The image is constant: it comes back unchanged."))
    note = {"version": __version__, "method": model.method}
    return Result(dataclasses.replace(noisy, data=clean), spread_of(noisy, std, note), info)


KINDS: dict[Any, tuple[tuple[type, ...], str]] = {  # what is taken for a declared type, and how it is called
    bool: ((bool, np.bool_, Integral), "true or false"),
    int: ((Integral,), "a whole number"),
    float: ((Real,), "a number"),
    str: ((str, os.PathLike), "a text"),
    type(None): ((type(None),), "none"),
}


def _options(hint: Any) -> tuple[Any, ...]:
    either = typing.get_origin(hint) in (types.UnionType, typing.Union)  # `Literal[...] | None` is the second
    return typing.get_args(hint) if either else (hint,)


def _suits(value: Any, hint: Any) -> bool:
    """Tell whether a value is of a declared type; of lists their method knows."""
    return any(
        isinstance(value, str) and value in typing.get_args(option)
        if typing.get_origin(option) is typing.Literal
        else option not in KINDS or isinstance(value, KINDS[option][0])
        for option in _options(hint)
    )


def _wanted(hint: Any) -> str:
    """Say what a declared type takes, for people."""
    return " or ".join(
        ", ".join(map(repr, typing.get_args(option)))
        if typing.get_origin(option) is typing.Literal
        else KINDS[option][1]
        if option in KINDS
        else str(option)
        for option in _options(hint)
    )


def demand(true: bool, name: str, value: Any, possible: str) -> None:
    """Raise a SettingError that names a setting, its value and what is possible, unless `true`."""
    if not true:
        raise SettingError(f"setting {name} cannot be {value!r}; possible: {possible}")


def parse(name: str, text: str, hint: Any) -> Any:
    """Read a setting's text as the type its constructor declares.

    Examples
    --------
    >>> parse("maps", "32", int), parse("steps", "none", int | None), parse("residual", "yes", bool)
    (32, None, True)
    """
    options = _options(hint)
    if type(None) in options and text.lower() in ("none", "null", ""):
        return None
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.startswith(("[", "(")) and any(typing.get_origin(option) is list for option in options):
        return _listed(name, text)  # before a text, which takes everything
    for option in options:
        if typing.get_origin(option) is typing.Literal:
            if text in typing.get_args(option):
                return text
            raise SettingError(f"setting {name} cannot be {text!r}; possible: {', '.join(typing.get_args(option))}")
        if option is bool and text.lower() in words:
            return words[text.lower()]
        if option in (int, float) and _is_number(text, option):
            return option(text)
        if option is str:
            return text
    wanted = " or ".join(getattr(option, "__name__", str(option)) for option in options)
    raise SettingError(f"setting {name} takes {wanted}, and was given {text!r}")


def _listed(name: str, text: str) -> Any:
    try:
        return json.loads(text.replace("(", "[").replace(")", "]"))
    except (ValueError, RecursionError):
        raise SettingError(f"setting {name} takes lists as in [[1, 1, 1]], and was given {text!r}") from None


def _is_number(text: str, kind: Callable[[str], Any]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def as_images(images: Images) -> list[Image]:
    """Return a list of Images for one image, one array, or a sequence of them."""
    if isinstance(images, Image) or hasattr(images, "ndim"):
        images = [images]
    return [_in_memory(as_image(item)) for item in images]


def _in_memory(image: Image) -> Image:
    """An image as it is fitted to: of one that is stored in pieces a sample."""
    return sample_of(image) if isinstance(image.data, Lazy) else image


def warn(info: Mapping[str, Any], found: Finding) -> None:
    """Note a warning in a result's info and raise it as a HushWarning, once."""
    with SAYING:
        if found.as_dict() in info["warnings"]:
            return
        info["warnings"].append(found.as_dict())
    warnings.warn(found.warning(), stacklevel=3)
