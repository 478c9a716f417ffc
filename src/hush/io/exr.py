"""EXR (OpenEXR): half floats, floats and uint32; parts, layers and channels, windows, tiles and attributes are kept.

One image of a file is denoised, and everything else of it is copied: other parts, layers and channels. Deep files
(several samples a pixel) are refused. Lossy compressions (DWA, B44, PXR24 of floats) are written as ZIP, which is not.
"""

from __future__ import annotations

import contextlib
import io as streams
import json
from pathlib import Path
from typing import Any

import numpy as np

from hush.core.errors import FormatError
from hush.core.image import Array, Image
from hush.io._common import (
    check_claim,
    choose,
    flat,
    from_note,
    is_screen,
    need,
    positive,
    refuse,
    settle_axes,
    to_note,
)
from hush.io._exr_images import ALPHA_OF_EXR, GREY_OF_EXR, RGB_OF_EXR, Group, groups, ordered

SUFFIXES = (".exr",)
MAGIC = (b"\x76\x2f\x31\x01",)
CHOICES = "layer"
EXTRA = "photo"
NEEDS = ("OpenEXR",)

PACKED_EXR = 10**5  # bytes that a byte becomes at most: 32 lines of one value take some bytes
NUMBERS_OF_EXR = ("float16", "float32", "uint32")
LOSSY = ("B44_COMPRESSION", "B44A_COMPRESSION", "DWAA_COMPRESSION", "DWAB_COMPRESSION")
LINES_OF_CHUNK = {"NO": 1, "RLE": 1, "ZIPS": 1, "ZIP": 16, "PXR24": 16, "PIZ": 32, "B44": 32, "B44A": 32, "DWAA": 32}
MOST_LINES = 256
CHUNK_HEAD = 16  # bytes of a chunk that is empty, with its entry in the table
DEEP = ("deepscanline", "deeptile")
ABOUT, NOTE_OF_EXR, ORDER_OF_EXR = "comments", "hush", "hushChannels"  # attributes
INCH = 25400.0  # micrometres


def read(path: Path, axes: str | None, *, choice: int | str | None = None) -> Image:
    """Read one image of a file, the first of colours unless another is named: ``RGBA``, ``Z``, ``left/diffuse``."""
    exr = need("OpenEXR", EXTRA)
    file = _opened(exr, path)
    parts = file.parts
    listed = [ordered(one, _order(parts[one.part].header)) for one in groups(parts)]
    if not listed:
        raise FormatError("it holds no channels")
    names = [one.name for one in listed]
    group = listed[choose(choice, names, CHOICES)]
    part = parts[group.part]
    planes = [np.asarray(part.channels[name].pixels) for name in group.channels]
    data = planes[0] if group.axes == "YX" else np.stack(planes, 0 if group.axes == "CYX" else -1)
    chosen, _ = settle_axes(data.shape, axes, group.axes)
    remarks = _remarks(part, data.dtype)
    if len(names) > 1 and choice is None:
        remarks.append(f"it holds {len(names)} images ({', '.join(names)}); this is the first")
    meta: dict[str, Any] = {"warnings": remarks, "description": str(part.header.get(ABOUT, ""))}
    meta["channels"] = list(group.channels) if group.axes == "CYX" else []
    meta["exr"] = {"path": str(path.resolve()), "group": group, "shape": tuple(data.shape)}
    if group.axes == "YXS":
        meta["alpha"] = len(planes) in (2, 4)
    if note := from_note(str(part.header.get(NOTE_OF_EXR, ""))):
        meta["hush"] = note
    scale = _scale(part.header)
    return Image(data, chosen, scale, "µm" if scale else None, meta)


def write(path: Path, image: Image) -> None:
    """Write the image into a copy of the file it came from, else into a new file (ZIP, scan lines)."""
    exr = need("OpenEXR", EXTRA)
    old = image.meta.get("exr")
    planes = _planes(image)
    if planes[0].dtype.name not in NUMBERS_OF_EXR:
        raise refuse("EXR", "half floats, floats and uint32 (float16, float32, uint32)", np.asarray(image.data))
    if old is None or old["shape"] != tuple(image.data.shape):  # of a crop only the image itself is written
        parts = [_new(exr, image, planes, (old or {}).get("group"))]
    else:
        parts = _copied(exr, Path(old["path"]), old["group"], image, planes)
    with exr.File(parts) as file:
        file.write(str(path))
    if old is not None and len(parts[0].channels) > 1:
        _check_written(exr, path, old, planes)


def create(path: Path, like: Image) -> None:
    """Return None: the library writes files as a whole."""


# -- reading --------------------------------------------------------------------------------------------


def _opened(exr: Any, path: Path) -> Any:
    """Return the file with the pixels of all its parts, which live as long as it does.

    Raises
    ------
    FormatError
        When the file is deep, or its pixels cannot be read.
    """
    size = path.stat().st_size
    with exr.File(str(path), header_only=True) as file:
        for part in file.parts:
            header = part.header
            if header["type"].name in DEEP:
                raise FormatError(
                    "it is deep (any number of samples a pixel, as renderers make them); flatten it to one first"
                )
            _check_size(header, size)
    with contextlib.redirect_stdout(streams.StringIO()):  # it prints what it cannot read, and goes on
        file = exr.File(str(path), separate_channels=True)
    for part in file.parts:
        if any(np.ndim(one.pixels) != 2 or not np.size(one.pixels) for one in part.channels.values()):
            raise FormatError("it is cut short or damaged: its pixels cannot be read")
    return file


def _check_size(header: dict[str, Any], size: int) -> None:
    """Refuse a header that claims more pixels than a file of this size can hold."""
    low, high = header["dataWindow"]
    width, height = (int(end) - int(start) + 1 for start, end in zip(low, high, strict=True))
    if min(width, height) < 1:
        raise FormatError(f"it is damaged: its header says {width}x{height} pixels")
    check_claim(2 * width * height * len(header["channels"]), size, PACKED_EXR, size)
    tiles = header.get("tiles")
    if tiles is not None:
        chunks = -(-width // tiles.xSize) * -(-height // tiles.ySize)
    else:
        chunks = -(-height // LINES_OF_CHUNK.get(header["compression"].name.partition("_")[0], MOST_LINES))
    check_claim(CHUNK_HEAD * chunks, size, 1, size)


def _remarks(part: Any, dtype: np.dtype[Any]) -> list[str]:
    header, remarks = part.header, []
    kind = header["compression"].name
    if kind in LOSSY or (kind.startswith("PXR24") and dtype == np.float32):
        remarks.append(f"its compression ({kind.partition('_')[0]}) is lossy; an .exr result is written with ZIP")
    tiles = header.get("tiles")
    if tiles is not None and tiles.mode.name != "ONE_LEVEL":
        remarks.append("it holds smaller copies of its pixels (mip-map), which are not read, and not written again")
    return remarks


def _order(header: dict[str, Any]) -> list[str]:
    """Return the order of channels that hush wrote; the file itself sorts them by name."""
    try:
        said = json.loads(str(header.get(ORDER_OF_EXR, "[]")))
    except ValueError:
        return []
    return [str(one) for one in said] if isinstance(said, list) else []


def _scale(header: dict[str, Any]) -> dict[str, float]:
    """Return the pixel size in micrometres, if the file says how many pixels an inch has."""
    density, aspect = positive(header.get("xDensity")), positive(header.get("pixelAspectRatio"))
    if not density or not aspect or is_screen(INCH / density):
        return {}
    return {"X": INCH / density, "Y": INCH / (density * aspect)}


# -- writing --------------------------------------------------------------------------------------------


def _planes(image: Image) -> list[Array]:
    """Return the channels as planes, in this machine's byte order."""
    if "C" in image.axes and image.sizes["C"] > 1:
        if "S" in image.axes and image.sizes["S"] > 1:
            raise FormatError(f"EXR holds colours or channels, and axes {image.axes} have both; write a .tif file")
        at = image.axes.index("C")
        planes = [
            flat(Image(image.data.take(number, at), image.axes.replace("C", "")), "EXR")
            for number in range(image.sizes["C"])
        ]
    else:
        data = flat(image, "EXR")
        planes = [data] if data.ndim == 2 else [data[..., number] for number in range(data.shape[-1])]
    native = planes[0].dtype.newbyteorder("=")
    return [np.ascontiguousarray(plane, native) for plane in planes]


def _names(image: Image, count: int) -> tuple[str, ...]:
    """Return the names of new channels."""
    if image.sizes.get("C", 1) > 1:
        names = tuple(str(one) for one in image.meta.get("channels") or ())
        usable = len(set(names)) == len(names) == count and all(names)
        return names if usable else tuple(f"channel{number}" for number in range(count))
    known = {1: (GREY_OF_EXR,), 2: (GREY_OF_EXR, ALPHA_OF_EXR), 3: RGB_OF_EXR, 4: (*RGB_OF_EXR, ALPHA_OF_EXR)}
    if count not in known or (count in (2, 4) and not image.alpha):
        raise FormatError(f"EXR holds grey and RGB, each with or without opacity, not {count} colour samples")
    return known[count]


def _new(exr: Any, image: Image, planes: list[Array], group: Group | None) -> Any:
    """Return the only part of a new file."""
    names = group.channels if group and len(group.channels) == len(planes) else _names(image, len(planes))
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    header |= _about(image, names)
    x, y = (image.scale.get(axis) for axis in "XY")
    microns = {"nm": 1e-3, "µm": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": INCH}.get(image.unit or "")
    if x and y and microns:
        header |= {"xDensity": INCH / (x * microns), "pixelAspectRatio": x / y}
    return exr.Part(header, dict(zip(names, planes, strict=True)))


def _copied(exr: Any, source: Path, group: Group, image: Image, planes: list[Array]) -> list[Any]:
    """Return the parts of the input with the image's channels replaced."""
    if not source.is_file():
        raise FormatError(
            f"{source.name}, whose other channels and attributes are copied, is not there any more; put it back, or "
            "write a .tif file"
        )
    file, parts = _opened(exr, source), []
    for place, part in enumerate(file.parts):
        header = dict(part.header)
        if place == group.part:
            header |= _about(image, group.channels)
        kinds = {np.asarray(one.pixels).dtype.name for one in part.channels.values()}
        kind = header["compression"].name
        if kind in LOSSY or (kind.startswith("PXR24") and "float32" in kinds):
            header["compression"] = exr.ZIP_COMPRESSION
        if "tiles" in header:
            tiles = exr.TileDescription()
            tiles.xSize, tiles.ySize, tiles.mode = header["tiles"].xSize, header["tiles"].ySize, exr.ONE_LEVEL
            header["tiles"] = tiles
        new = dict(zip(group.channels, planes, strict=True)) if place == group.part else {}
        channels = {name: _channel(exr, one, new.get(name)) for name, one in part.channels.items()}
        parts.append(exr.Part(header, channels, part.name()))
    return parts


def _check_written(exr: Any, path: Path, old: dict[str, Any], planes: list[Array]) -> None:
    """Compare channels of fewer pixels with the input's: how the library takes them may change with its version."""
    file = _opened(exr, path)
    if not any(one.xSampling > 1 or one.ySampling > 1 for part in file.parts for one in part.channels.values()):
        return
    source = _opened(exr, Path(old["path"]))
    for place, (part, before) in enumerate(zip(file.parts, source.parts, strict=True)):
        new = dict(zip(old["group"].channels, planes, strict=True)) if place == old["group"].part else {}
        for name, channel in part.channels.items():
            wanted = new.get(name, np.asarray(before.channels[name].pixels))
            if channel.xSampling > 1 and not np.array_equal(channel.pixels, wanted, equal_nan=wanted.dtype.kind == "f"):
                raise FormatError(f"its subsampled channel {name} was not written as it was; write a .tif file")


def _channel(exr: Any, old: Any, pixels: Array | None) -> Any:
    """Return a channel. Of one of fewer pixels the library checks the shape as if it had all, and takes the first."""
    across, down = int(old.xSampling), int(old.ySampling)
    pixels = np.asarray(old.pixels) if pixels is None else pixels
    if across > 1 or down > 1:
        room = np.zeros((pixels.shape[0] * down, pixels.shape[1] * across), pixels.dtype)
        room.ravel()[: pixels.size] = pixels.ravel()
        pixels = room
    return exr.Channel(pixels, across, down, bool(old.pLinear))


def _about(image: Image, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the attributes in which the image says something of itself."""
    found: dict[str, Any] = {}
    if description := str(image.meta.get("description") or ""):
        found[ABOUT] = description
    if note := to_note(image.meta.get("hush")):
        found[NOTE_OF_EXR] = note
    if list(names) != sorted(names) and len(names) > 1 and "C" in image.axes:
        found[ORDER_OF_EXR] = json.dumps(list(names))
    return found
