"""What applying a network to a tile needs: padding, the eight symmetries, a size that fits the memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hush.machine import available_memory


def pad_end(x: Tensor, multiple: int) -> Tensor:
    """Mirror (B, C, [Z,] Y, X) at its end up to a multiple; with zeros where it is shorter than one.

    Zeros are what patches of such thin images were padded with in training; mirroring there would
    show the network copies of the very noise that it is to remove.
    """
    for axis in range(2, x.ndim):
        size = x.shape[axis]
        need = -size % multiple
        if need and size >= multiple:
            x = torch.cat([x, x.narrow(axis, size - 1 - need, need).flip(axis)], axis)
        elif need:
            x = torch.cat([x, x.new_zeros(*x.shape[:axis], need, *x.shape[axis + 1 :])], axis)
    return x


def mean_over_symmetries(
    function: Callable[[Tensor], Tensor], x: Tensor, along: bool = False, number: int = 8
) -> Tensor:
    """Return the mean of a function over turns and flips of the plane, each turned back.

    Parameters
    ----------
    function : callable
        (B, C, [Z,] Y, X) -> the same but for the number of channels.
    x : Tensor
        On the pooling grid, so that a turned tile lies on it as well.
    along : bool
        Whether the last two channels say something of Y and of X: they change places where those do.
    number : int
        Of the eight turns and flips: the first of them leaves the plane as it is, the second is the half turn.
    """
    total: Tensor | float = 0.0
    other = torch.cat([x[:, :-2], x[:, -1:], x[:, -2:-1]], 1) if along else x
    for swap, axes in [(swap, axes) for swap in (False, True) for axes in ((), (-2, -1), (-1,), (-2,))][:number]:
        turned = (other.transpose(-1, -2) if swap else x).flip(axes)
        y = function(turned).flip(axes)
        total = total + (y.transpose(-1, -2) if swap else y)
    assert isinstance(total, Tensor)
    return total / number


def tile_side(ndim: int, margin: int, maps: int) -> tuple[int, ...]:
    """Choose a tile whose activations take at most a quarter of the free memory: 512 x 512, or smaller."""
    side = 512 if ndim == 2 else 96
    each = 4 * 8 * maps  # bytes a pixel: about eight sets of full-resolution maps are alive at once
    while side > 32 and (side + 2 * margin) ** ndim * each > available_memory() / 4:
        side //= 2
    return (side,) * ndim
