"""Study: whether estimates of the risk agree with PSNR."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from hush.bench.tables import groups, mean
from hush.core import registry
from hush.core.metrics import fit_gain, psnr
from hush.datasets.recipes import Item
from hush.methods._base import learning
from hush.pretrained.analyze import analyze
from hush.quality import risk
from hush.quality.estimate import Domain, hidden_risk
from hush.vst.stabilizer import Stabilizer

Row = dict[str, Any]


def row(item: Item, method: Row, recipe: Row) -> Row:
    """Measure PSNR, SURE and hidden-pixel risk of one method on the middle of one image."""
    image = item.as_image()
    report = analyze(image)
    settings = method["settings"]

    def build() -> Any:
        return registry.get("methods", method["name"])(**settings)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build().fit([image])
        clean = model.denoise(image).data
        domain = Domain(image, report)
        noisy = domain.stack(image.data, Stabilizer.forward)
        sure = risk.sure(domain.through(model.denoise), noisy, domain.deviation(noisy))
        hidden = hidden_risk(model.denoise, domain, noisy, learn=learning(build))
    fitted = fit_gain(clean, item.clean)[0] if item.fit_gain else clean
    row: Row = {"psnr": psnr(fitted, item.clean, item.peak), "family": method.get("family", method["name"])}
    row |= {"sure": sure.value, "sure_error": sure.error}
    return row | {"hidden": hidden.value, "hidden_error": hidden.error}


def table(rows: Sequence[Row], recipe: Row) -> str:
    """Kendall's tau of each risk with PSNR: within families of settings, and between the families' best."""
    lines = ["| data | noise | risk | tau within families | tau between families | loss of its choice, dB |",
             "| --- " * 6 + "|"]  # fmt: skip
    for group in groups(rows, "data", "noise"):
        for name in ("sure", "hidden"):
            within, between, loss = [], [], []
            for one in groups(group, "image", "seed"):
                families = list(groups(one, "family"))
                within += [_tau(family, name) for family in families if len(family) > 2]
                middle = [family[len(family) // 2] for family in families]
                between.append(_tau(middle, name))
                picked = min(one, key=lambda row: row[name])
                loss.append(max(row["psnr"] for row in one) - picked["psnr"])
            lines.append(
                f"| {group[0]['data']} | {group[0]['noise']} | {name} | {mean(within):.2f} | "
                f"{mean(between):.2f} | {np.mean(loss):.2f} |"
            )
    return "\n".join(lines)


def _tau(rows: Sequence[Row], name: str) -> float:
    if len(rows) < 3:
        return float("nan")
    return float(stats.kendalltau([-row[name] for row in rows], [row["psnr"] for row in rows]).statistic)
