"""Noise2Fast: chequerboards of the one image are the pairs, and its own noisy pixels say which weights to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hush.core.image import Array
from hush.methods._learned import NetDenoiser
from hush.training.dataset import Scene
from hush.training.masking import error_everywhere
from hush.training.normalization import Scale
from hush.training.patches import Batch, Patches


@dataclass(kw_only=True, eq=False)
class Noise2Fast(NetDenoiser):
    """Learn one half of an image's chequerboard from the other, four ways (Lequyer et al., Nat. Mach. Intell. 2022).

    The white and the black squares of a chequerboard of pixels, pushed together along rows or along columns, show
    nearly the same picture with independent noise. The weights are taken that make of the whole image what is nearest
    to the noisy one: before that the picture is blurred, and after it the noise of the halves has been learned. In
    volumes the chequerboard is in the plane.

    Notes
    -----
    Use it for one image whose noise is independent between pixels, where a minute or two is no matter and no training
    data is like it.

    ::

        L(θ) = E_k H( σ(f_θ(W_k y)), B_k y ),   x̂ = σ(f_θ(y))
        taken is the θ of the least ‖σ(f_θ(y)) - y‖²

    W_k and B_k are the four down-samplings, H the binary cross entropy, σ the logistic function; y lies between 0 and
    1. Raise `seconds` or `steps` for large images and fine texture; lower `maps` for time. Lower `learning_rate` where
    the best weights are among the first.

    Where it differs from the paper: larger images are learned in pieces of 256 x 256 pixels (whole); the weights are
    averaged, and the learning rate falls to zero by a cosine (the mean of the last 100 outputs at a steady rate), so
    that a model can be kept and applied; the averaged weights are looked at 50 times, up to the last step, and the
    best are taken (at every step, until none of 100 was better).

    References
    ----------
    * J. Lequyer, R. Philip, A. Sharma, W.-H. Hsu and L. Pelletier, A fast blind zero-shot denoiser, Nature Machine
      Intelligence 2022.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    >>> model = Noise2Fast(steps=4, maps=4).fit(noisy)
    >>> model.denoise(noisy).data.shape, len(model.history_[0].validation)
    ((64, 64), 4)
    """

    needs: ClassVar[str] = "noisy"
    scope: ClassVar[str] = "image"

    seconds: float = 120.0
    net: str = "plain"
    maps: int = 64
    batch: int = 1
    patch: int = 256
    learning_rate: float = 1e-3
    augment: Literal["all", "flips", "none"] = "none"
    norm: Literal["batch", "none"] = "none"
    residual: Literal["none", "input", "smooth"] = "none"

    def build(self, channels: int, ndim: int) -> nn.Module:
        """Return the network, whose values lie in a range."""
        return _Bounded(self.network(channels, channels, ndim), channels, ndim)

    def sources(
        self, kept: Sequence[Scene], held: Sequence[Scene], size: Sequence[int], scale: Scale
    ) -> tuple[Patches, Patches | None]:
        """Find out the images' range; learn from them, and look at them too, unless whole files are held out."""
        source, aside = super().sources(kept, held, size, scale)
        self.learned_[str(len(self.nets_))] = _range(source.views, scale)
        return source, aside or Patches(source.views, size, scale, "none")

    def equip(self, net: nn.Module, network: int) -> None:
        """Tell a network its range."""
        for buffer, values in zip((net.low, net.width), self.learned_[str(network)], strict=True):
            assert isinstance(buffer, Tensor)
            buffer.copy_(torch.tensor(values).reshape(buffer.shape))

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return the cross entropy of one half to the other; in a look, the squared error to the whole noisy image."""
        if not net.training:
            return error_everywhere(net(batch.noisy), batch.noisy, batch.valid)
        assert isinstance(net, _Bounded)
        way = int(torch.randint(4, (), generator=rng, device=rng.device))
        one, other = halves(batch.noisy, way)
        entropy = functional.binary_cross_entropy_with_logits(net.logits(one), net.unit(other), reduction="none")
        if batch.valid is None:
            return entropy.mean()
        both = torch.logical_and(*halves(batch.valid, way))
        return (entropy * both).sum() / (both.sum().clamp(min=1) * entropy.shape[1])


class _Bounded(nn.Module):
    """A network whose values lie in a range; what the input has beyond it stays as it is.

    Attributes
    ----------
    low, width : Tensor
        Least value of each channel, and how far the greatest lies beyond it.
    """

    low: Tensor
    width: Tensor

    def __init__(self, body: nn.Module, channels: int, ndim: int) -> None:
        super().__init__()
        self.body, self.margin, self.multiple = body, body.margin, body.multiple
        shape = (1, channels, *(1,) * ndim)
        self.register_buffer("low", torch.zeros(shape), persistent=False)
        self.register_buffer("width", torch.ones(shape), persistent=False)

    def unit(self, x: Tensor) -> Tensor:
        """Map values of the range to between 0 and 1, and others to the nearer of the two."""
        return ((x - self.low) / self.width).clamp(0, 1)

    def logits(self, x: Tensor) -> Tensor:
        """Return what the network makes of (B, C, [Z,] Y, X), on the whole axis of numbers."""
        made: Tensor = self.body(self.unit(x))
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, [Z,] Y, X) to the same in float32."""
        beyond = x - (self.low + self.width * self.unit(x))
        return self.low + self.width * torch.sigmoid(self.logits(x)) + beyond


def _range(views: Sequence[Array], scale: Scale) -> list[list[float]]:
    """The least normalised value of each channel, and how far the greatest lies beyond it."""
    ends = []
    for k, (mean, std) in enumerate(zip(scale.mean, scale.std, strict=True)):
        finite = [values[np.isfinite(values)] for values in (np.asarray(view[k], np.float64) for view in views)]
        values = np.array([end for each in finite if each.size for end in (each.min(), each.max())])
        ends.append([(values.min() - mean) / std, (values.max() - values.min()) / std or 1.0])
    low, width = (list(map(float, values)) for values in zip(*ends, strict=True))
    return [low, width]


def halves(x: Tensor, way: int) -> tuple[Tensor, Tensor]:
    """Return the white and the black squares of a chequerboard of (B, C, [Z,] Y, X), pushed together.

    Parameters
    ----------
    x : Tensor
        An odd last row or column is left out.
    way : int
        0 and 1: along columns, to half the rows; 2 and 3: along rows. Where a side has one pixel only, it is along the
        other. 1 and 3: the black squares first.

    Examples
    --------
    >>> [half.tolist() for half in halves(torch.tensor([[[[1, 2, 3], [4, 5, 6]]]]), 0)]
    [[[[[1, 5, 3]]]], [[[[4, 2, 6]]]]]
    """
    axis = -2 if way < 2 else -1
    axis = axis if x.shape[axis] > 1 else -3 - axis
    lines = x.movedim(axis, -1)
    pairs = lines[..., : lines.shape[-1] // 2 * 2].reshape(*lines.shape[:-1], -1, 2)
    odd = torch.arange(pairs.shape[-3], device=x.device)[:, None] % 2 == 1
    first, second = pairs.unbind(-1)
    white = torch.where(odd, second, first).movedim(-1, axis)
    black = torch.where(odd, first, second).movedim(-1, axis)
    return (black, white) if way % 2 else (white, black)
