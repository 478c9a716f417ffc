"""Commands that measure: score, compare."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hush.cli._options import AXES, JSON, OVERWRITE, QUIET_OPTION
from hush.core import files
from hush.core.errors import HushError, SettingError, unknown

if TYPE_CHECKING:
    from hush.core.image import Image

AREA_SHOWN = 32  # side of the areas whose errors are summed, pixels


@click.command(epilog="Example: hush score clean.tif truth.tif --fit-gain")
@click.argument("image")
@click.argument("reference", required=False)
@AXES
@click.option("--metric", "metrics", help="Names with commas: psnr, ssim, rmse, frc.  [default: the first three]")
@click.option("--fit-gain", is_flag=True, help="Fit gain and offset to the reference first.")
@click.option("--peak", type=click.FloatRange(0, min_open=True), help="[default: 255 for 8 bit, else the extent]")
@click.option("--noisy", help="The noisy image: the relative change of PSNR and SSIM from it as well.")
@click.option("--threshold", type=click.Choice(["1/7", "half-bit", "1-bit"]), default="1/7", show_default=True,
              help="Of frc: where the resolution ends.")  # fmt: skip
@click.option("--regions", nargs=2, multiple=True, metavar="REGION BACKGROUND",
              help="Contrast-to-noise ratio of two boxes y0:y1,x0:x1 or mask files; repeatable.")  # fmt: skip
@click.option("--cnr", "kind", type=click.Choice(["pooled", "sum", "background"]), default="pooled", show_default=True,
              help="Which noise: the mean of both variances, their sum, the background's.")  # fmt: skip
@click.option("--errors", type=click.Path(path_type=Path), help="Draw the places of the largest errors: a .png.")
@OVERWRITE
@JSON
def score(image: str, reference: str | None, axes: str | None, as_json: bool, **said: Any) -> int:
    """Compare an image with a reference: PSNR, SSIM, RMSE, and where it is most wrong.

    With --metric frc the two are exposures of one scene, and the resolution of them is measured. That, and --regions,
    also measure one image alone.
    """
    from hush import io

    clean, noisy = (None if path is None else io.read(path, axes) for path in (reference, said["noisy"]))
    result = _scored(io.read(image, axes), clean, noisy, said)
    if as_json:
        click.echo(json.dumps({"image": image, "reference": reference, **result}))
        return 0
    width = max(8, *(len(name) + 2 for name in result))
    for name, value in result.items():
        for line in _said(name, value):
            click.echo(f"{name:<{width}}{line}")
    return 0


def _scored(image: Image, reference: Image | None, noisy: Image | None, said: dict[str, Any]) -> dict[str, Any]:
    """Measure what was asked for."""
    from hush.core.metrics import METRICS, scores
    from hush.quality.contrast import cnr
    from hush.quality.frc import frc
    from hush.quality.relative_change import relative_change

    metrics = _metrics(said["metrics"], [*METRICS, "frc"], list(METRICS) if reference is not None else [])
    asked = {"--noisy": noisy, "--errors": said["errors"], f"--metric {','.join(metrics)}": set(metrics) & set(METRICS)}
    lacking = next((name for name, value in asked.items() if value), None) if reference is None else None
    if lacking or not (metrics or said["regions"]):
        raise HushError(f"{lacking or 'a score'} needs a reference; without one: --metric frc, or --regions A B")
    result: dict[str, Any] = {}
    if reference is not None:
        options = {"peak": said["peak"], "fit": said["fit_gain"]}
        if set(metrics) & set(METRICS):
            found = scores(image, reference, **options)
            result |= {name: value for name, value in found.items() if name in metrics or name not in METRICS}
        if noisy is not None:
            result |= relative_change(image, noisy, reference, **options)
    if "frc" in metrics:
        result["frc"] = frc(image, reference, threshold=said["threshold"]).as_dict()
    for number, pair in enumerate(said["regions"], 1):
        regions = [_region(text) for text in pair]
        for suffix, one in (("", image), ("_noisy", noisy)):
            if one is not None:
                ratio = cnr(one, *regions, kind=said["kind"])
                result[f"cnr{suffix}" + (f"_{number}" if number > 1 else "")] = ratio if ratio < float("inf") else None
    if said["errors"] is not None and reference is not None:
        result["errors"] = _draw_errors(image, reference, noisy, said)
    return result


def _metrics(text: str | None, possible: list[str], default: list[str]) -> list[str]:
    """Read names with commas."""
    if text is None:
        return default
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in possible:
            raise unknown("metric", name, possible, SettingError)
    return names


def _region(text: str) -> str | Image:
    """Return a box as it is, and the mask of a file."""
    from hush import io
    from hush.quality.contrast import BOX

    return text if BOX.fullmatch(text) or not Path(text).exists() else io.read(text)


def _draw_errors(image: Image, reference: Image, noisy: Image | None, said: dict[str, Any]) -> list[dict[str, Any]]:
    """Draw the two largest errors of single pixels and of areas, and return where they are."""
    from dataclasses import asdict

    from PIL import Image as Picture

    from hush.core.image import Image
    from hush.core.metrics import fit_gain
    from hush.quality.error_maps import error_picture, largest_errors

    path: Path = said["errors"]
    if path.suffix.lower() != ".png":
        raise HushError(f"--errors {path.name} is a picture: give a name that ends in .png")
    files.refuse_existing(path, said["overwrite"])
    shown = {"image": image} | ({} if noisy is None else {"noisy": noisy})
    if said["fit_gain"]:
        shown = {name: Image(fit_gain(one, reference)[0], one.axes) for name, one in shown.items()}
    area = min(AREA_SHOWN, reference.sizes["Y"], reference.sizes["X"])
    places = [place for side in (1, area) for place in largest_errors(shown["image"], reference, 2, side=side)]
    if not places:
        raise HushError("the image equals its reference: there is no error to draw")
    with files.replacing(path) as hidden:
        Picture.fromarray(error_picture(reference, shown, places)).save(hidden)
    return [asdict(place) for place in places]


def _said(name: str, value: Any) -> list[str]:
    """Write a figure for people: a line, or some."""
    if name == "frc":
        if value["state"] != "found":
            none = "none: nothing is seen twice beyond chance"
            return [f"finer than {value['limit']:.4g} pixels" if value["state"] == "beyond" else none]
        size = f" ({value['physical']:.4g} {value['unit'] or ''}".rstrip() + ")" if value.get("physical") else ""
        return [f"{value['resolution']:.4g} pixels{size}, threshold {value['criterion']}"]
    if name == "errors":
        return [
            f"y {place['y']}, x {place['x']}, {place['side']} x {place['side']} pixels: "
            f"squared error {place['value']:.6g}" + (f", plane {place['plane']}" if place["plane"] else "")
            for place in value
        ]
    if value is None:
        return ["the image is too small" if name == "ssim" else "not defined" if "var" in name else "infinite"]
    return [f"{value:.6g}"]


@click.command(epilog="Example: hush compare fish.tif --methods bm3d,nlm,n2v -o compared/")
@click.argument("image")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of page.html.")
@click.option("--reference", help="A clean image of the same shape: PSNR, SSIM and RMSE as well.")
@click.option("--methods", default="bm3d,nlm,n2v", show_default=True, help="Names of 'hush list', with commas.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, help="A training.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all random numbers.")
@click.option("--hidden", is_flag=True, help="Risk at hidden pixels too: learned methods train twice.")
@AXES
@OVERWRITE
@JSON
@QUIET_OPTION
def compare(
    image: str,
    output: Path,
    reference: str | None,
    methods: str,
    seconds: float,
    seed: int,
    hidden: bool,
    axes: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run several methods on one file: a table, and a page that lays any two over each other."""
    from hush import io
    from hush.bench.compare import collect
    from hush.bench.compare import compare as run
    from hush.cli.console import Console
    from hush.reports.comparison import compare_page

    console = Console(quiet=quiet, as_json=as_json)
    if (output / "page.html").exists() and not overwrite:
        raise HushError(f"{output / 'page.html'} exists; --overwrite replaces it")
    if output.is_file():
        raise HushError(f"{output} is a file; -o takes a folder")
    noisy = io.read(image, axes)
    truth = io.read(reference, axes) if reference else None
    names = [name.strip().replace("-", "_") for name in methods.split(",") if name.strip()]
    if not names:
        raise HushError("--methods names no method; for example --methods bm3d,nlm,n2v")
    entries = run(noisy, names, reference=truth, seconds=seconds, seed=seed, hidden=hidden, said=console.say)
    words = ["hush", "compare", Path(image).name, "--methods", ",".join(names), "--seconds", f"{seconds:g}"]
    words += (["--reference", Path(reference).name] if reference else []) + ["--seed", str(seed), "-o", output.name]
    collect(output, noisy, entries, truth, shlex.join(words))
    compare_page(output, output / "page.html", overwrite=overwrite)
    for entry in entries:
        if as_json:
            click.echo(json.dumps({"method": entry.method, "failed": entry.image is None, "note": entry.note}
                                  | {"figures": entry.figures}))  # fmt: skip
        else:
            figures = {k: v for k, v in entry.figures.items() if v is not None and not k.endswith("_error")}
            click.echo(f"{entry.method:<10}" + "  ".join(f"{k} {v:.4g}" for k, v in figures.items()))
            if entry.image is None:
                click.echo(f"  {entry.note}")
    console.say(f"wrote {output / 'page.html'}")
    return 1 if any(entry.image is None for entry in entries) else 0
