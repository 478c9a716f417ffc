"""Commands that measure: score, compare, bench."""

from __future__ import annotations

import json

import click

from hush.cli._options import AXES, JSON


@click.command()
@click.argument("image")
@click.argument("reference")
@AXES
@click.option("--fit-gain", is_flag=True, help="Fit gain and offset to the reference first.")
@click.option("--peak", type=click.FloatRange(0, min_open=True), help="[default: 255 for 8 bit, else the extent]")
@JSON
def score(image: str, reference: str, axes: str | None, fit_gain: bool, peak: float | None, as_json: bool) -> int:
    """Compare an image with a reference: PSNR, SSIM, RMSE."""
    from hush import io
    from hush.metrics import scores

    result = scores(io.read(image, axes), io.read(reference, axes), peak=peak, fit=fit_gain)
    if as_json:
        click.echo(json.dumps({"image": image, "reference": reference, **result}))
        return 0
    for name, value in result.items():
        unknown = "infinite" if name == "psnr" else "the image is too small"
        click.echo(f"{name:<8}{unknown if value is None else f'{value:.6g}'}")
    return 0
