"""Where a piece of an HDF5 data set lies: the attributes ``offset`` and ``resolution`` of electron microscopy."""

from __future__ import annotations

from typing import Any

import numpy as np

from hush.core.image import Image
from hush.io._common import cut_before

PLACE_OF_HDF5 = "offset"  # where the first voxel lies, in the unit of the resolution; CREMI, funlib, daisy
STEPS_OF_HDF5 = ("resolution", "voxel_size")  # the size of a voxel, in the order of the axes


def move(stored: Any, image: Image) -> None:
    """Let a data set state the place of a piece, where it states that of the whole.

    Parameters
    ----------
    stored : h5py Dataset
        Changed in place: ``offset`` grows by the voxels that were cut off before it, times their size.
    image : Image
        What is written.
    """
    letters = "".join(axis for axis in image.axes if axis in "ZYX")
    cut = cut_before(image, letters)
    steps = next((np.ravel(stored.attrs[name]) for name in STEPS_OF_HDF5 if name in stored.attrs), None)
    if not any(cut) or steps is None or PLACE_OF_HDF5 not in stored.attrs:
        return
    before = np.asarray(stored.attrs[PLACE_OF_HDF5])
    if before.shape == steps.shape == (len(letters),) and before.dtype.kind in "iuf" and steps.dtype.kind in "iuf":
        moved = before + cut * steps
        whole = before.dtype.kind in "iu" and bool((moved == np.rint(moved)).all())
        stored.attrs[PLACE_OF_HDF5] = moved.astype(np.int64) if whole else np.asarray(moved, np.float64)
