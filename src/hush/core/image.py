"""Image: an array, what its axes mean, and everything needed to give the same file back."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from hush.core import foreign
from hush.core.errors import HushError
from hush.core.findings import Finding
from hush.core.lazy import Lazy, chunk_shape, stays_lazy

Array = Any  # numpy array or memory map, or a `hush.core.lazy.Lazy`, which is indexed and transposed like one


@dataclass(frozen=True)
class Plane:
    """One plane (or volume) of an image as a network sees it, and where it stands in the image.

    Attributes
    ----------
    channel : int
        Position along the image's C axis, 0 when there is none or when channels are joint.
    index : tuple
        Integers and slices that cut the plane out of the image's array.
    order : tuple of int
        Transposition of the cut piece to (channels, [Z,] Y, X); without the first entry when
        the plane has no axis of joint channels.
    label : str
        Where it stands, for people: ``"T=3 Z=0"``, empty for an image of one plane.
    """

    channel: int
    index: tuple[int | slice, ...]
    order: tuple[int, ...]
    joint: bool
    label: str

    def view(self, array: Array) -> Array:
        """Return the plane of `array` as a writable view of shape (channels, [Z,] Y, X); of a lazy one unread."""
        if isinstance(array, Lazy):
            lazy = array.cut(self.index).transpose(self.order)
            return lazy if self.joint else lazy.cut(np.newaxis)
        piece = array[self.index].transpose(self.order)
        return piece if self.joint else piece[np.newaxis]


@dataclass(frozen=True, eq=False)
class Image:
    """An image with its axes, pixel size and metadata.

    Attributes
    ----------
    data : array
        In the file's own dtype; may be memory-mapped, or stay where it is stored (`hush.core.lazy.Lazy`: large arrays
        of Zarr, HDF5 and Dask become one). Whatever else is given (a tensor, nested lists) becomes an array; masked
        pixels become missing ones: NaN, and whole numbers become floats for it.
    axes : str
        One letter an axis: T time, C independent channels, Z, Y, X, S colour samples (RGB, RGBA).
    scale : mapping of str to float
        Size of a pixel along an axis, in `unit` (seconds for T).
    unit : str or None
        Unit of `scale`, for example ``"µm"``.
    meta : mapping
        Everything else the file said: ``format``, ``channels`` (names), ``description``, ``guessed``
        (how the axes were guessed), ``warnings``, ``medical``, ``hush`` (what hush did to it), ``cropped``
        (pixels of the file that lie before it, by axis), ``magnitude`` (the values may be lengths of a complex signal:
        MRI), and one private entry for the format that read it.

    Raises
    ------
    HushError
        When axes and array do not fit each other, or Y or X is missing, or the numbers are complex.

    Examples
    --------
    >>> import numpy as np
    >>> image = Image(np.zeros((3, 8, 9), np.uint8), "CYX")
    >>> image.sizes["X"], len(list(image.planes()))
    (9, 3)
    """

    data: Array
    axes: str
    scale: Mapping[str, float] = field(default_factory=dict)
    unit: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", plain(self.data))
        if len(self.axes) != self.data.ndim or len(set(self.axes)) != len(self.axes):
            raise HushError(
                f"axes {self.axes!r} do not fit an array of shape {tuple(self.data.shape)}: "
                f"give {self.data.ndim} different letters of T, C, Z, Y, X, S"
            )
        if not {"Y", "X"} <= set(self.axes):
            raise HushError(f"axes {self.axes!r} have no Y and X; give them, for example 'ZYX'")
        if self.data.dtype.kind not in "buif":
            raise HushError(
                f"numbers of type {self.data.dtype} cannot be denoised: give integers or floats"
                + (" (for complex data its magnitude, or real and imaginary part as two channels)"
                   if self.data.dtype.kind == "c" else "")
            )  # fmt: skip
        if 0 in self.data.shape:
            raise HushError(f"an image of shape {tuple(self.data.shape)} holds no pixels")

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each axis."""
        return dict(zip(self.axes, self.data.shape, strict=True))

    @property
    def alpha(self) -> bool:
        """Whether the last colour sample is opacity, which is kept aside."""
        return bool(self.meta.get("alpha", self.sizes.get("S") in (2, 4)))

    @property
    def channels(self) -> int:
        """Number of independent channels (the length of C)."""
        return self.sizes.get("C", 1)

    def samples(self, joint_channels: bool = False) -> int:
        """Return how many values a pixel has for one network: colours, or joint channels."""
        if joint_channels and "C" in self.axes:
            return self.channels
        return self.sizes.get("S", 1) - (self.alpha if "S" in self.axes else 0)

    def colour(self, number: int) -> tuple[int | slice, ...]:
        """Return where a colour sample stands in the array; -1 is opacity, where there is some."""
        return tuple(number if axis == "S" else slice(None) for axis in self.axes)

    def planes(self, ndim: int = 2, joint_channels: bool = False) -> Iterator[Plane]:
        """Cut the image into what a network sees at once.

        Parameters
        ----------
        ndim : {2, 3}
            2: every Z slice by itself; 3: volumes of (Z, Y, X).
        joint_channels : bool
            Give all channels of C to one network instead of one network each.

        Yields
        ------
        Plane
            Every plane once; alpha belongs to none of them.

        Raises
        ------
        HushError
            When `ndim` is 3 and the image has no Z, or colours and channels would both be joint.
        """
        if ndim == 3 and "Z" not in self.axes:
            raise HushError(f"ndim 3 needs a Z axis, and the axes are {self.axes!r}; name it, e.g. --axes ZYX")
        if joint_channels and {"C", "S"} <= set(self.axes):
            raise HushError(f"axes {self.axes!r}: colours (S) and channels (C) cannot both be joint")
        spatial = "ZYX"[3 - ndim :]
        together = "C" if joint_channels and "C" in self.axes else "S" if "S" in self.axes else ""
        single = [a for a in self.axes if a not in spatial + together]
        single.sort(key=lambda a: a != "C")  # channels outermost: all planes of a network in a row
        kept = [a for a in self.axes if a not in single]
        order = tuple(kept.index(a) for a in together + spatial)
        colours = slice(0, self.samples(joint_channels)) if together == "S" else slice(None)
        for at in product(*(range(self.sizes[a]) for a in single)):
            place = dict(zip(single, at, strict=True))
            index = tuple(place[a] if a in place else colours if a == "S" else slice(None) for a in self.axes)
            label = " ".join(f"{a}={i}" for a, i in place.items())
            yield Plane(place.get("C", 0), index, order, bool(together), label)

    def crop(self, y: slice, x: slice) -> Image:
        """Return the piece between the given rows and columns; the data is a view.

        ``meta["cropped"]`` says by axis how many pixels of the file lie before it, where there are any; several crops
        add up. Who writes the file states the place of the piece by that.
        """
        window = {"Y": y, "X": x}
        index = tuple(window.get(a, slice(None)) for a in self.axes)
        piece = replace(self, data=self.data.cut(index) if isinstance(self.data, Lazy) else self.data[index])
        before = dict(self.meta.get("cropped") or {})
        for axis, part in window.items():
            before[axis] = before.get(axis, 0) + part.indices(self.sizes[axis])[0]
        return piece.with_meta(cropped=before) if any(before.values()) else piece

    def with_meta(self, **entries: Any) -> Image:
        """Return the same image with entries of `meta` replaced or added."""
        return replace(self, meta={**self.meta, **entries})


def as_image(array_or_image: Array | Image, axes: str | None = None) -> Image:
    """Return an Image for an array; axes that are not given, nor named (xarray, Zarr), are guessed.

    A guess is said as a HushWarning.
    """
    if isinstance(array_or_image, Image):
        return replace(array_or_image, axes=axes) if axes else array_or_image
    data = plain(array_or_image)
    if axes is not None:
        return Image(data, axes)
    axes, guessed = foreign.named_axes(array_or_image, guess_axes)
    if axes is None:
        axes = guess_axes(data.shape)
        guessed = said_guess(axes, data.shape)
    if guessed is None:
        return Image(data, axes)
    warnings.warn(Finding("axes-guessed", f"{guessed}; hush.Image(array, axes) names them").warning(), stacklevel=3)
    return Image(data, axes, meta={"guessed": guessed})


def guess_axes(shape: tuple[int, ...]) -> str:
    """Guess axes from a shape: a short last axis is colour or channels, pages are Z, then T, then C.

    Of 3 or 4 it is colour, of 1 or 2 channels; it is short where the two axes before it are longer than 4.

    Examples
    --------
    >>> guess_axes((512, 512)), guess_axes((9, 512, 512)), guess_axes((512, 512, 3)), guess_axes((512, 512, 2))
    ('YX', 'ZYX', 'YXS', 'YXC')
    """
    short = len(shape) >= 3 and shape[-1] <= 4 < min(shape[-3:-1])
    tail = "YX" + ("" if not short else "S" if shape[-1] >= 3 else "C")
    pages = [axis for axis in "ZTC" if axis not in tail]
    lead = len(shape) - len(tail)
    if not 0 <= lead <= len(pages):
        raise HushError(f"an array of shape {tuple(shape)} is not an image: 2 to 5 axes, colour or channels last")
    return "".join(sorted(pages[:lead], key="TCZ".index)) + tail


def said_guess(axes: str, shape: tuple[int, ...]) -> str | None:
    """Say that axes were guessed, or None where the shape leaves no doubt: a plane, grey or of colours."""
    return None if axes in ("YX", "YXS") else f"axes {axes} guessed from shape {tuple(shape)}"


def plain(given: Any) -> Array:
    """Return what stands for an image in Python as a numpy array: masked pixels are NaN, tensors come to the CPU.

    Raises
    ------
    HushError
        When it is no array of numbers.

    Examples
    --------
    >>> plain(np.ma.masked_equal([[1, 2], [3, 4]], 4)).tolist()
    [[1.0, 2.0], [3.0, nan]]
    """
    if type(given) in (np.ndarray, np.memmap, Lazy):
        return given
    given = foreign.unlabelled(given)
    if stays_lazy(given):
        return Lazy(given, chunk_shape(given))
    try:
        if _is_tensor(given):
            given = given.detach().cpu()
            return (given if str(given.dtype) not in NEW_FLOATS else given.float()).numpy()
        if isinstance(given, np.ma.MaskedArray) and given.dtype.kind in "buif":
            return _missing(given)
        return np.asarray(given)
    except Exception as error:  # every library refuses in its own way
        said = " ".join(str(error).split())
        raise HushError(
            f"a {type(given).__name__} does not give its numbers ({said}); give an array of numpy, a dense tensor, "
            "or nested lists of equal lengths"
        ) from error


NEW_FLOATS = ("torch.bfloat16", "torch.float8_e4m3fn", "torch.float8_e5m2")  # numpy has none; float32 holds them all


def _is_tensor(given: Any) -> bool:
    torch = sys.modules.get("torch")  # who gives a tensor has imported it
    return torch is not None and isinstance(given, torch.Tensor)


def _missing(given: np.ma.MaskedArray[Any, Any]) -> Array:
    if given.mask is np.ma.nomask or not given.mask.any():
        return given.data
    wide = np.float32 if given.dtype.itemsize <= 2 else np.float64
    return np.where(given.mask, np.nan, given.data.astype(given.dtype if given.dtype.kind == "f" else wide))


def alike(result: Array, given: Any) -> Any:
    """Return a result as what was given: a tensor on its device, a masked array with its mask, an array of a library.

    Under a mask stands what stood there. A tensor is of the same dtype and records no gradient. An array of xarray
    keeps dimensions, coordinates, attributes and name; one of Zarr is in memory, with chunks and attributes.

    Examples
    --------
    >>> alike(np.array([[1.6, np.nan]]), np.ma.masked_equal([[1, 9]], 9))
    masked_array(data=[[2, --]],
                 mask=[[False,  True]],
           fill_value=9)
    """
    if _is_tensor(given):
        return sys.modules["torch"].from_numpy(result).to(given.device, given.dtype)
    if isinstance(given, np.ma.MaskedArray):
        kept = ~np.ma.getmaskarray(given)
        back = given.copy()
        back.data[kept] = cast(result[kept], given.dtype)
        return back
    return foreign.wrapped(result, given)


def cast(values: Array, dtype: np.dtype) -> Array:
    """Convert computed values to `dtype` once: integers rounded and clipped, booleans cut at one half."""
    values = np.asarray(values)
    if values.dtype == dtype:
        return values
    if dtype.kind == "b":
        return values >= 0.5
    if dtype.kind in "ui" and values.dtype.kind == "f":
        info = np.iinfo(dtype)
        # float64 for 32-bit integers: float32 cannot hold their largest value, and the cast would wrap round
        wide = values.astype(np.float64) if dtype.itemsize >= 4 else values
        top = np.nextafter(np.float64(info.max), 0) if dtype.itemsize == 8 else info.max
        return np.clip(np.rint(wide), info.min, top).astype(dtype)
    return values.astype(dtype)
