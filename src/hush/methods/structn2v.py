"""structN2V: Noise2Void for noise that is correlated in a known direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from hush.core.errors import HushError
from hush.methods.n2v import Noise2Void
from hush.training.masking import error_at, hide_pixels, structure_mask
from hush.training.patches import Batch


@dataclass(kw_only=True, eq=False)
class StructN2V(Noise2Void):
    """Noise2Void for correlated noise: neighbours under a mask are hidden too (Broaddus et al., ISBI 2020).

    Parameters
    ----------
    mask : str or nested list
        Which neighbours of a hidden pixel share its noise: ``"1x11"`` (rows x columns), rows of digits
        such as ``"010,111,010"``, or nested lists of 0 and 1; odd sizes.

    Notes
    -----
    Use it for noise that is correlated along rows or columns, as scanners and line detectors leave it.

    ::

        L(θ) = E Σ_{i∈M} ( f_θ(y_{M+B})_i - y_i )²

    B is the `mask` around each masked pixel: what shares its noise is masked too. Raise the mask's length to the
    reach of the correlation (`hush analyze` gives it), and no further; lower it where detail along the mask is lost.

    Patches are flipped and not turned, since turning them would turn the noise's direction.

    References
    ----------
    * C. Broaddus, A. Krull, M. Weigert, U. Schmidt and G. Myers, Removing structured noise with self-supervised
      blind-spot networks, ISBI 2020.

    Examples
    --------
    >>> StructN2V(mask="1x5").check()
    """

    needs: ClassVar[str] = "noisy"

    mask: str | list[list[int]] = "1x11"
    hidden_fraction: float = 0.05  # sparser than in n2v: each hidden pixel takes its masked neighbours along
    augment: Literal["all", "flips", "none"] = "flips"

    def check(self) -> None:
        """Refuse settings that make no sense, naming what is possible."""
        super().check()
        try:
            structure_mask(self.mask, self.ndim)
        except (ValueError, TypeError, RuntimeError) as error:  # torch raises the last of what is no number
            raise HushError(f"setting mask cannot be {self.mask!r}: {error}; possible: '1x11', '010,111,010'") from None

    def loss(self, net: nn.Module, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return the squared error to the noisy values at hidden pixels."""
        mask = structure_mask(self.mask, self.ndim)
        hidden, where = hide_pixels(batch.noisy, self.hidden_fraction, self.radius, self.rule, rng, mask)
        return error_at(where, net(hidden), batch.noisy, batch.valid)
