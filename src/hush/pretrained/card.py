"""Card: what is known of weights: network, noise that they know, images and licences, training, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

PLANES = ("values", "level", "deficit", "missing", "lag_y", "lag_x")


@dataclass(frozen=True)
class CameraNoise:
    """The camera's noise that weights were trained on, beside white Gaussian noise.

    Attributes
    ----------
    lost, shared, photons : float
        Share of the patches with missing pixels, with spatially correlated noise, with stabilised photon noise.
    longest : float
        Length of the longest Gaussian that correlates the noise, in pixels.
    least, most : float
        Photons at white.
    smeared : float
        Share of the patches with photon noise that is also spatially correlated.
    """

    lost: float
    shared: float
    longest: float
    photons: float
    least: float
    most: float
    smeared: float = 0.0


@dataclass(frozen=True)
class Inputs:
    """The planes that a network is given, in their order, and where each stands.

    Attributes
    ----------
    channels : int
        Noisy channels, and planes of each kind that every channel has of its own.
    blind : bool
        Whether there is nothing but the noisy values.
    camera : bool
        Whether there are planes for a camera's noise.

    Notes
    -----
    ``values`` and ``level`` (the noise's standard deviation) one a channel; for a camera's noise also ``deficit``, by
    which share the noise lies below its level where the count is low, one a channel, and one each for all channels:
    ``missing`` (1 where a pixel is), ``lag_y`` and ``lag_x`` (correlation with the next pixel).

    Examples
    --------
    >>> Inputs(3).count, Inputs(1, camera=True).count, Inputs(1, camera=True).at("missing")
    (6, 6, slice(3, 4, None))
    """

    channels: int
    blind: bool = False
    camera: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds of planes that there are, in order."""
        return PLANES[:1] if self.blind else PLANES if self.camera else PLANES[:2]

    def at(self, name: str) -> slice:
        """Return where planes stand among all."""
        sizes = [self.channels if one in PLANES[:3] else 1 for one in self.names]
        number = self.names.index(name)
        return slice(sum(sizes[:number]), sum(sizes[: number + 1]))

    @property
    def count(self) -> int:
        """How many planes there are."""
        return int(self.at(self.names[-1]).stop)

    def ordered(self, **planes: Any) -> list[Any]:
        """Return those planes that the network is given, in its order."""
        return [planes[name] for name in self.names]


@dataclass(frozen=True)
class Card:
    """What is known of weights; of a recipe, what its weights will be.

    Attributes
    ----------
    title : str
    licence : str
    net : str
        A network of `hush.nets`.
    settings : dict
        Its settings.
    channels : int
        1 for grey, 3 for colours.
    sigma : tuple of float or None
        Levels of the Gaussian noise, of a range of 255; None for blind weights.
    camera : CameraNoise or None
    blind : bool
        Whether the network is given nothing of what an analysis finds of the noise.
    finds_level : bool
        Whether it is told one level of the noise all the same, which its gauge finds (`hush.nets._gauge`).
    begin : str
        Weights that the training began with; empty for none.
    data, scores : sequence of dict
        ``name, images, share, licence``; ``name, noise, psnr``.
    training : dict
        ``command, device, hours, steps, cycles, gigapixels, seed, parameters``; ``note``, where the
        command makes others.
    parameters, bytes : int
    sha256 : str
        Of the file, where there is one.
    """

    title: str
    licence: str
    net: str
    settings: Mapping[str, Any]
    channels: int
    sigma: tuple[float, float] | None = None
    camera: CameraNoise | None = None
    blind: bool = False
    finds_level: bool = False
    begin: str = ""
    data: Sequence[Mapping[str, Any]] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: Sequence[Mapping[str, Any]] = ()
    parameters: int = 0
    bytes: int = 0
    sha256: str = ""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Read a card, or a recipe's part of one.

        Raises
        ------
        KeyError, TypeError
            When an entry is missing, or none of these.
        """
        known = {item.name: given[item.name] for item in fields(cls) if item.name in given}
        if "camera" in known:
            known["camera"] = CameraNoise(**known["camera"])
        if "sigma" in known:
            known["sigma"] = (float(known["sigma"][0]), float(known["sigma"][1]))
        return cls(**known)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON, without what is not said."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "", False, 0)}

    @property
    def inputs(self) -> Inputs:
        """The planes that the network is given."""
        return Inputs(self.channels, self.blind and not self.finds_level, self.camera is not None)

    def as_text(self, name: str) -> str:
        """Return it in Markdown."""
        training = self.training
        lines = [f"# {name}", "", self.title, "",
                 f"- Network: `{self.net}` {dict(self.settings)}, {training['parameters']:,} weights in float16.",
                 f"- Noise: {self._noise()}; channels: {self.channels}.",
                 f"- Licence: {self.licence}.",
                 f"- Trained for {_steps(training['cycles'])} pixels ({training['gigapixels']:.2f} Gpixel) in "
                 f"{training['hours']:.1f} h on {training['device']}, seed {training['seed']}.",
                 *([f"- Begun with the weights `{self.begin}`."] if self.begin else []),
                 f"- Command: `{training['command']}`",
                 *([f"- {training['note']}."] if "note" in training else []), "", "## Trained on", "",
                 "| images | number | share | licence |", "| --- | --- | --- | --- |"]  # fmt: skip
        lines += [f"| {d['name']} | {d['images']} | {_share(d['share'])} | {d['licence']} |" for d in self.data]
        lines += ["", "## Scores", "", f"{self._scored()}, peak 255.", "",
                  "| images | noise | PSNR |", "| --- | --- | --- |"]  # fmt: skip
        lines += [f"| {s['name']} | {s['noise']} | {s['psnr']:.2f} |" for s in self.scores]
        return "\n".join(lines) + "\n"

    def _scored(self) -> str:
        if self.blind:
            return "One frozen photograph per scene, against the one without noise; in brackets the camera's own file"
        return "Noise of known level, one frozen draw per image, unclipped"

    def _noise(self) -> str:
        if self.sigma is None:
            level = "of one level, which is found" if self.finds_level else "level unknown"
            return f"a camera's, smoothed and compressed, {level}; values of 0 to 255"
        plain = f"Gaussian, of known level, {self.sigma[0]:g} to {self.sigma[1]:g} of a range of 255"
        how = self.camera
        if how is None:
            return plain
        smeared = f", spatially correlated in {how.smeared:.0%} of those" if how.smeared else ""
        return (
            f"{plain}; spatially correlated in {how.shared:.0%} of the patches, by Gaussians of up to {how.longest:g} "
            f"pixels; {how.photons:.0%} have photon noise of {how.least:g} to {how.most:g} photons at white, "
            f"stabilised{smeared}; in {how.lost:.0%} some pixels are missing"
        )


def _share(share: float | Sequence[float]) -> str:
    return f"{share:.0%}" if isinstance(share, int | float) else ", then ".join(f"{one:.0%}" for one in share)


def _steps(cycles: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for one in cycles:
        more = f" (error over level to the power {one['power']})" if "power" in one else ""
        more += f" ({one['amplified']:.0%} of the photon noise with excess noise)" if "amplified" in one else ""
        parts.append(f"{one['steps']:,} steps of {one['batch']} x {one['patch']}²{more}")
    return ", then ".join(parts)
