"""Hide pixels of a batch: stratified positions, replacement rules, structured masks. Pure functions on tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor
from torch.nn import functional


def hide_pixels(
    noisy: Tensor,
    fraction: float,
    radius: int,
    rule: str,
    rng: torch.Generator,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Replace some pixels by values that do not depend on them (Noise2Void, section 3.5).

    Parameters
    ----------
    noisy : Tensor, shape (B, C, [Z,] Y, X)
        Noisy patches. All channels of a pixel are hidden together.
    fraction : float
        About which part of the pixels to hide: one pixel of every box of ``1 / fraction``.
    radius : int
        Half size of the square neighbourhood from which replacements come.
    rule : str
        One of `RULES`.
    rng : torch.Generator
        On the device of `noisy`.
    mask : Tensor or None
        structN2V: 0/1 of odd size; neighbours of a hidden pixel under its ones are replaced by
        uniform noise between the patch's extremes (Broaddus et al., ISBI 2020). They share the pixel's noise,
        so its own replacement comes from beyond them.

    Returns
    -------
    hidden : Tensor
        The patches with the replacements, same shape.
    where : Tensor of bool, shape (B, 1, [Z,] Y, X)
        The hidden pixels: where the loss is taken.
    """
    at = stratified(noisy.shape[0], tuple(noisy.shape[2:]), fraction, rng)
    hidden = noisy.clone()
    if mask is not None:
        _blur_neighbours(hidden, noisy, at, mask, rng)
    if mask is None or rule in OWN_VALUE:
        hidden[_values(at)] = RULES[rule](noisy, at, radius, rng)
    else:
        hidden[_values(at)] = _beyond(noisy, at, mask, radius, rule, rng)
    where = torch.zeros_like(noisy[:, :1], dtype=torch.bool)
    where[(at[0], torch.zeros_like(at[0]), *at[1:])] = True
    return hidden, where


def error_at(where: Tensor, predicted: Tensor, noisy: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean squared error at chosen pixels, those left out that were never measured.

    Parameters
    ----------
    where, valid : Tensor of bool, shape (B, 1, [Z,] Y, X)
        Chosen pixels, and measured ones (None: all).
    predicted, noisy : Tensor, shape (B, C, [Z,] Y, X)

    Returns
    -------
    Tensor
        A scalar; zero when no pixel is left.
    """
    if valid is not None:
        where = where & valid
    error = (predicted - noisy).square() * where
    return error.sum() / (where.sum().clamp(min=1) * noisy.shape[1])


def error_everywhere(predicted: Tensor, target: Tensor | None, valid: Tensor | None = None) -> Tensor:
    """Mean squared error to a target at all pixels that were measured.

    Parameters
    ----------
    predicted, target : Tensor, shape (B, C, [Z,] Y, X)
    valid : Tensor of bool or None, shape (B, 1, [Z,] Y, X)
    """
    if target is None:
        raise TypeError("there is no target: the images were not given in pairs")
    if valid is None:
        return (predicted - target).square().mean()
    return error_at(valid, predicted, target)


def grid_phase(shape: Sequence[int], width: int, phase: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the pixels of one phase of a grid of `width`, shape (1, 1, [Z,] Y, X): every pixel is in one phase.

    Examples
    --------
    >>> grid_phase((2, 4), 2, 1)[0, 0].int().tolist()
    [[0, 1, 0, 1], [0, 0, 0, 0]]
    """
    where = torch.ones((1, 1, *shape), dtype=torch.bool, device=device)
    for axis in reversed(range(len(shape))):
        phase, rest = divmod(phase, width)
        line = torch.arange(shape[axis], device=device) % width == rest
        where = where & line.reshape(-1, *(1,) * (len(shape) - 1 - axis))
    return where


def between(x: Tensor) -> Tensor:
    """Return the weighted mean of the direct and diagonal neighbours of every pixel, without the pixel."""
    ndim, channels = x.ndim - 2, x.shape[1]
    line = torch.tensor([0.5, 1.0, 0.5], dtype=x.dtype, device=x.device)
    kernel = line
    for _ in range(ndim - 1):
        kernel = kernel[..., None] * line
    kernel[(1,) * ndim] = 0
    kernel = kernel.expand(channels, 1, *kernel.shape)
    convolve = functional.conv2d if ndim == 2 else functional.conv3d
    weight = convolve(torch.ones_like(x[:1]), kernel, padding=1, groups=channels)
    total: Tensor = convolve(x, kernel, padding=1, groups=channels)
    return torch.where(weight > 0, total / weight.clip(1e-6), x)


def _values(at: Sequence[Tensor]) -> tuple[Tensor | slice, ...]:
    """Index that takes all channels at some positions: (K,) positions give (K, C)."""
    return (at[0], slice(None), *at[1:])


def stratified(batch: int, shape: Sequence[int], fraction: float, rng: torch.Generator) -> list[Tensor]:
    """Draw one position in every box of a randomly shifted grid.

    Returns
    -------
    list of Tensor, each of shape (K,)
        Batch index, then one coordinate an axis.
    """
    box = _box(shape, fraction)
    # one box more than fit, since the grid is shifted by up to a box; what falls outside is dropped
    counts = [-(-size // side) + 1 for size, side in zip(shape, box, strict=True)]
    grid = torch.meshgrid(*(torch.arange(n, device=rng.device) for n in (batch, *counts)), indexing="ij")
    keep = torch.ones_like(grid[0], dtype=torch.bool)
    at = []
    for axis, (size, side) in enumerate(zip(shape, box, strict=True)):
        shift = torch.randint(side, (batch, *(1 for _ in shape)), generator=rng, device=rng.device)
        jitter = torch.randint(side, grid[0].shape, generator=rng, device=rng.device)
        place = grid[axis + 1] * side - shift + jitter
        keep &= (place >= 0) & (place < size)
        at.append(place)
    return [grid[0][keep], *(place[keep] for place in at)]


def _box(shape: Sequence[int], fraction: float) -> list[int]:
    """Sides of a box of about ``1 / fraction`` pixels, near to a cube, none longer than the patch."""
    sides = [1] * len(shape)
    volume = max(1.0, 1 / fraction)
    # shortest axes first: what a short axis cannot take, the longer ones must
    for done, axis in enumerate(sorted(range(len(shape)), key=lambda a: shape[a])):
        side = round((volume / prod(sides)) ** (1 / (len(shape) - done)))
        sides[axis] = max(1, min(side, shape[axis]))
    return sides


def _window(shape: Sequence[int], at: list[Tensor], radius: int) -> tuple[list[Tensor], list[Tensor]]:
    """First coordinate and length of each position's neighbourhood, cut off at the patch's edges."""
    low = [(place - radius).clamp(min=0) for place in at[1:]]
    length = [(p + radius).clamp(max=n - 1) - lo + 1 for p, lo, n in zip(at[1:], low, shape, strict=True)]
    return low, length


def _pick(noisy: Tensor, at: list[Tensor], radius: int, rng: torch.Generator, centre: bool) -> Tensor:
    """Value of a pixel drawn uniformly from the neighbourhood, its centre included or not."""
    low, length = _window(noisy.shape[2:], at, radius)
    count = torch.stack(length).prod(0)
    draw = torch.rand(count.shape, generator=rng, device=rng.device, dtype=torch.float64)
    if centre:
        flat = (draw * count).long()
    else:
        middle = torch.zeros_like(count)
        for place, lo, n in zip(at[1:], low, length, strict=True):
            middle = middle * n + (place - lo)
        flat = (draw * (count - 1)).long()
        flat += (flat >= middle) & (count > 1)  # skip the centre, unless there is nothing else
    where = []
    for lo, n in zip(reversed(low), reversed(length), strict=True):
        where.append(lo + flat % n)
        flat = flat // n
    return noisy[_values([at[0], *reversed(where)])]


def _offsets(ndim: int, radius: int) -> Tensor:
    """All steps of a neighbourhood but none at all, (neighbours, ndim)."""
    steps = torch.arange(-radius, radius + 1)
    offsets = torch.cartesian_prod(*[steps] * ndim).reshape(-1, ndim)
    return offsets[(offsets != 0).any(1)]


def _neighbours(noisy: Tensor, at: list[Tensor], offsets: Tensor) -> Tensor:
    """Values at some steps from each position, (K, C, neighbours); NaN outside the patch."""
    shape, offsets = noisy.shape[2:], offsets.to(noisy.device)
    places = [place[:, None] + offset for place, offset in zip(at[1:], offsets.T, strict=True)]
    inside = torch.stack([(p >= 0) & (p < n) for p, n in zip(places, shape, strict=True)]).all(0)
    places = [p.clamp(0, n - 1) for p, n in zip(places, shape, strict=True)]
    values = noisy[_values([at[0][:, None], *places])].movedim(-1, 1)
    return values.masked_fill(~inside[:, None], float("nan"))


def _own(noisy: Tensor, at: list[Tensor]) -> Tensor:
    return noisy[_values(at)]


def _known(values: Tensor, noisy: Tensor, at: list[Tensor]) -> Tensor:
    """`values`, or the pixel itself where it has no neighbour at all (patches of one pixel)."""
    return torch.where(values.isnan(), _own(noisy, at), values)


def _mean(around: Tensor, rng: torch.Generator) -> Tensor:
    return around.nanmean(-1)


def _median(around: Tensor, rng: torch.Generator) -> Tensor:
    return around.nanmedian(-1).values


def _normal_fitted(around: Tensor, rng: torch.Generator) -> Tensor:
    mean = around.nanmean(-1)
    std = (around - mean[..., None]).square().nanmean(-1).sqrt()
    return mean + std * torch.randn(mean.shape, generator=rng, device=rng.device)


Statistic = Callable[[Tensor, torch.Generator], Tensor]
STATISTICS: dict[str, Statistic] = {"mean": _mean, "median": _median, "normal_fitted": _normal_fitted}


def _of_all(statistic: Statistic) -> Rule:
    """Return the rule that takes a statistic of all neighbours."""

    def rule(noisy: Tensor, at: list[Tensor], radius: int, rng: torch.Generator) -> Tensor:
        return _known(statistic(_neighbours(noisy, at, _offsets(noisy.ndim - 2, radius)), rng), noisy, at)

    return rule


def _normal_additive(noisy: Tensor, at: list[Tensor], radius: int, rng: torch.Generator) -> Tensor:
    own = _own(noisy, at)
    return own + torch.randn(own.shape, generator=rng, device=rng.device)


def _normal(noisy: Tensor, at: list[Tensor], radius: int, rng: torch.Generator) -> Tensor:
    """Value of a neighbour at a normally distributed distance, never the centre."""
    places, still = [], torch.ones_like(at[0], dtype=torch.bool)
    for place, n in zip(at[1:], noisy.shape[2:], strict=True):
        step = torch.randn(place.shape, generator=rng, device=rng.device) * radius / 2
        moved = (place + step.round().long().clamp(-radius, radius)).clamp(0, n - 1)
        still &= moved == place
        places.append(moved)
    picked = noisy[_values([at[0], *places])]
    return torch.where(still[:, None], _pick(noisy, at, 1, rng, centre=False), picked)


Rule = Callable[[Tensor, list[Tensor], int, torch.Generator], Tensor]

RULES: dict[str, Rule] = {
    "uniform": lambda x, at, radius, rng: _pick(x, at, radius, rng, centre=True),
    "uniform_without_centre": lambda x, at, radius, rng: _pick(x, at, radius, rng, centre=False),
    "normal": _normal,
    "normal_additive": _normal_additive,
    **{name: _of_all(statistic) for name, statistic in STATISTICS.items()},
    "identity": lambda x, at, radius, rng: _own(x, at),
}
"""Replacement rules of Noise2Void's code: (patches, positions, radius, rng) -> values of shape (K, C)."""
OWN_VALUE = ("normal_additive", "identity")  # of them, those made of the pixel itself


def _beyond(noisy: Tensor, at: list[Tensor], mask: Tensor, radius: int, rule: str, rng: torch.Generator) -> Tensor:
    """Replacements by a rule, from neighbours outside the mask alone; where that is nowhere, uniform noise."""
    steps = mask.nonzero() - torch.tensor(mask.shape) // 2
    offsets = outside = _offsets(mask.ndim, radius)[:0]
    while not len(outside):  # a mask may cover the whole neighbourhood
        offsets = _offsets(mask.ndim, radius)
        outside = offsets[~(offsets[:, None] == steps).all(2).any(1)]
        radius += 1
    around = _neighbours(noisy, at, outside)
    there = ~around[:, 0].isnan()
    if rule in STATISTICS:
        values = STATISTICS[rule](around, rng)
    else:
        far = (outside.to(noisy) * 2 / (radius - 1)).square().sum(1)  # in deviations of the rule `normal`
        weights = there * (torch.exp(-far / 2) if rule == "normal" else torch.ones_like(far))
        weights[~there.any(1)] = 1
        drawn = torch.multinomial(weights, 1, generator=rng)
        values = around.gather(2, drawn[:, None].expand(-1, around.shape[1], -1))[..., 0]
    return torch.where(values.isnan(), _between_extremes(noisy, at[0], rng), values)


def _between_extremes(noisy: Tensor, which: Tensor, rng: torch.Generator) -> Tensor:
    """Uniform noise between the extremes of some patches, (K, C)."""
    low, high = noisy.flatten(2).amin(2)[which], noisy.flatten(2).amax(2)[which]
    return low + torch.rand((len(which), noisy.shape[1]), generator=rng, device=rng.device) * (high - low)


def _blur_neighbours(hidden: Tensor, noisy: Tensor, at: list[Tensor], mask: Tensor, rng: torch.Generator) -> None:
    """Replace in `hidden` the masked neighbours of every hidden pixel by uniform noise."""
    offsets = mask.nonzero() - torch.tensor(mask.shape, device=mask.device) // 2
    offsets = offsets[(offsets != 0).any(1)].to(noisy.device)
    low, high = noisy.flatten(2).amin(2), noisy.flatten(2).amax(2)  # (B, C)
    for offset in offsets:
        places = [place + step for place, step in zip(at[1:], offset, strict=True)]
        sizes = noisy.shape[2:]
        inside = torch.stack([(p >= 0) & (p < n) for p, n in zip(places, sizes, strict=True)]).all(0)
        which, *places = (index[inside] for index in (at[0], *places))
        draw = torch.rand((len(which), noisy.shape[1]), generator=rng, device=rng.device)
        hidden[_values([which, *places])] = low[which] + draw * (high - low)[which]


def structure_mask(spec: str | Sequence[object], ndim: int) -> Tensor:
    """Read a structN2V mask.

    Parameters
    ----------
    spec : str or nested list
        ``"1x11"`` (rows x columns of ones), rows of digits such as ``"010,111,010"``, or nested lists of 0 and 1.
    ndim : int
        Axes of the patches; a mask with fewer axes gets leading axes of length one.

    Returns
    -------
    Tensor of bool
        With `ndim` axes, all of odd length.

    Raises
    ------
    ValueError
        When it is not of odd size or cannot be read.

    Examples
    --------
    >>> structure_mask("1x5", 2).shape
    torch.Size([1, 5])
    """
    if isinstance(spec, str):
        if "x" in spec:
            mask = torch.ones([int(part) for part in spec.split("x")])
        else:
            mask = torch.tensor([[int(digit) for digit in row.strip()] for row in spec.split(",")])
    else:
        mask = torch.as_tensor(spec)
    if mask.ndim > ndim or any(size % 2 == 0 for size in mask.shape):
        raise ValueError(f"a mask needs odd sizes and at most {ndim} axes, and this one is {tuple(mask.shape)}")
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError("a mask holds 0 and 1")
    return mask.reshape(*(1,) * (ndim - mask.ndim), *mask.shape) != 0
