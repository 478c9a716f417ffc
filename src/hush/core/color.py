"""Colours: the weights of brightness, and the opponent space in which colours are mixed."""

from __future__ import annotations

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue in brightness (ITU-R BT.601)
# rows of length one: brightness, red less blue, green less both
OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float32) / np.sqrt([[3], [2], [6]], dtype=np.float32)


def grey(colours: np.ndarray) -> np.ndarray:
    """Return the brightness of colours (..., 3).

    Examples
    --------
    >>> float(grey(np.array([200.0, 200.0, 200.0], np.float32)).round(3))
    200.0
    """
    return colours @ LUMA


def opponent(colours: np.ndarray) -> np.ndarray:
    """Return the opponent planes of colours (3, ...): brightness and two differences, white noise stays white.

    Examples
    --------
    >>> opponent(np.array([3.0, 3.0, 3.0])).round(3).tolist()
    [5.196, 0.0, 0.0]
    """
    return np.tensordot(OPPONENT, colours, 1)


def from_opponent(planes: np.ndarray) -> np.ndarray:
    """Return the colours of opponent planes (3, ...): undoes `opponent`."""
    return np.tensordot(OPPONENT.T, planes, 1)
