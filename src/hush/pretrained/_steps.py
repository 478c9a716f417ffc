"""Steps of a training of which a loss says all: the rate falls like a cosine, and the weights are averaged."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn

LAST_RATE_SHARE, WARMING = 1e-2, 100  # the last rate against the first, and steps to it
LONGEST_MEMORY = 0.999  # of the averaged weights
MOST_GRADIENT = 2.0  # norm of a step's gradient

Report = Callable[[int, int, float], None]


def take(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    loss_of: Callable[[], Tensor],
    steps: int,
    report: Report | None = None,
) -> None:
    """Take steps, and leave the mean of the weights in the network.

    Parameters
    ----------
    net : Module
    optimiser : Optimizer
        Of its parameters; its rate is the highest.
    loss_of : callable
        The loss of the next batch.
    steps : int
    report : callable, optional
        (step, steps, loss) after every step.

    Examples
    --------
    >>> net = nn.Linear(1, 1)
    >>> take(net, torch.optim.Adam(net.parameters(), 0.1), lambda: (net(torch.ones(1, 1)) - 5).square().mean(), 300)
    >>> round(net(torch.ones(1, 1)).item())
    5
    """
    first = [group["lr"] for group in optimiser.param_groups]
    mean = deepcopy(net.state_dict())
    for step in range(steps):
        fall = LAST_RATE_SHARE + (1 - LAST_RATE_SHARE) * (1 + math.cos(math.pi * step / steps)) / 2
        for group, rate in zip(optimiser.param_groups, first, strict=True):
            group["lr"] = rate * fall * min(1.0, (step + 1) / WARMING)
        loss = loss_of()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), MOST_GRADIENT)
        optimiser.step()
        memory = min(LONGEST_MEMORY, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            mean[name] = memory * mean[name] + (1 - memory) * value if value.is_floating_point() else value
        if report is not None:
            report(step + 1, steps, loss.item())
    net.load_state_dict(mean)
