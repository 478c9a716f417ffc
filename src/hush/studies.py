"""What a row of an experiment holds: one function a kind of recipe, and its table."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from hush import registry, stein
from hush.analysis import analyze
from hush.choices import choice_table, coverage, coverage_table
from hush.dataset import Item
from hush.denoiser import Result
from hush.errors import HushError, unknown
from hush.image import Image
from hush.judging import Domain, hidden_risk
from hush.metrics import fit_gain, psnr
from hush.noise import parse
from hush.noiselevel import NOT_WHITE
from hush.noisereport import together
from hush.peers import run_peer
from hush.stabilise import Stabiliser
from hush.tables import difference, groups, mean, percent
from hush.teaching import trained, trained_table, volume, volume_table

Row = dict[str, Any]
Make = Callable[[Item, Row, Row], Row]


# Denoising -----------------------------------------------------------------------------------


def denoise(item: Item, method: Row, recipe: Row) -> Row:
    """Run one method, of hush or a peer, and score its float output."""
    settings = {key: _known(value, item) for key, value in method["settings"].items()}
    begun = time.perf_counter()
    notes: Row = {}
    try:
        if "peer" in method:
            clean = run_peer(method["peer"], item.noisy, settings)
        else:
            result = _own(method["name"], item, settings)
            clean, notes = result.image.data, {k: result.info[k] for k in ("chosen",) if k in result.info}
    except (HushError, ImportError) as error:
        return {"error": str(error)}
    seconds = time.perf_counter() - begun
    row: Row = {"psnr": psnr(clean, item.clean, item.peak), "ssim": item.ssim(clean)}
    if item.fit_gain:
        row["psnr_fitted"] = psnr(fit_gain(clean, item.clean)[0], item.clean, item.peak)
    return row | notes | {"seconds": round(seconds, 4), "picture": clean}


def _own(name: str, item: Item, settings: Row) -> Result:
    image = item.as_image()
    kind = registry.get("methods", name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind.needs != "noisy" and "simulate" not in settings:  # a bound: it learns from the reference itself
            noise = together(analyze(image).channels)
            model = kind(**settings, simulate=str(noise)).fit([Image(item.clean, image.axes)])
        else:
            model = kind(**settings).fit([image])
        result: Result = model.run(image)
        return result


def _known(value: Any, item: Item) -> Any:
    if value != "known":
        return value
    model = parse(item.noise.removesuffix(" (8 bit)")).draw(np.random.default_rng(0))
    return float(model.parameters["sigma"])


def denoise_table(rows: Sequence[Row], recipe: Row) -> str:
    """Mean PSNR and SSIM, median seconds, and paired differences to the baseline with their 95 % interval."""
    lines = ["| data | noise | method | n | PSNR | SSIM | seconds | against baseline |", "| --- " * 8 + "|"]
    for group in groups(rows, "data", "noise"):
        methods = list(dict.fromkeys(row["method"] for row in group))
        score = "psnr_fitted" if any("psnr_fitted" in row for row in group) else "psnr"
        of = {m: {(r["image"], r["seed"]): r for r in group if r["method"] == m and "error" not in r} for m in methods}
        base = of.get(recipe.get("baseline", ""), {})
        for method in methods:
            mine = list(of[method].values())
            if not mine:
                continue
            paired = [of[method][k][score] - base[k][score] for k in of[method] if k in base]
            against = difference(paired) if method != recipe.get("baseline") else "baseline"
            mean = [np.mean([r[key] for r in mine if r[key] is not None]) for key in (score, "ssim")]
            lines.append(
                f"| {mine[0]['data']} | {mine[0]['noise']} | {method} | {len(mine)} | {mean[0]:.2f} | {mean[1]:.4f} | "
                f"{np.median([r['seconds'] for r in mine]):.3g} | {against} |"
            )
    return "\n".join(lines)


# Noise estimation ----------------------------------------------------------------------------


def estimate(item: Item, method: Row, recipe: Row) -> Row:
    """Estimate the noise; errors relative to the truth, over the brightnesses that the image has."""
    truth = parse(item.noise.removesuffix(" (8 bit)")).draw(np.random.default_rng(0))
    low, high = (float(end) for end in np.percentile(item.clean, [2, 98]))
    values = np.linspace(low, high, 32)
    variance = truth.moments(values[:, None])[1][:, 0]
    level = float(np.sqrt(variance.mean()))
    begun = time.perf_counter()
    if method.get("peer") == "skimage":
        from skimage.restoration import estimate_sigma

        found = float(estimate_sigma(item.noisy))  # type: ignore[no-untyped-call]
        return {"level": level, "found": found, "error": found / level - 1, "seconds": time.perf_counter() - begun}
    one = analyze(item.as_image()).channels[0]
    seconds = time.perf_counter() - begun
    predicted = np.maximum(one.a * values + one.b, 0)
    found = float(np.sqrt(predicted.mean()))
    row: Row = {"level": level, "found": found, "error": found / level - 1, "seconds": seconds, "white": one.white}
    row |= {"variance_error": float(np.abs(predicted / np.maximum(variance, 1e-9) - 1).mean()), "kind": one.kind}
    at_middle = float(np.sqrt(np.interp(one.middle, values, variance)))
    ends = one.interval["level"]
    row |= {"inside": bool(ends[0] <= at_middle <= ends[1])}
    gain = getattr(truth, "gain", 0.0)
    return row | ({"gain": gain, "gain_error": one.a / gain - 1} if gain else {})


def estimate_table(rows: Sequence[Row], recipe: Row) -> str:
    """Bias, spread and median error of the level; of gain and variance for photon noise; coverage of the interval."""
    lines = [
        "| data | noise | estimator | n | level: bias | spread | median error | gain: median error | variance "
        "| inside 95 % |",
        "| --- " * 10 + "|",
    ]
    for group in groups(rows, "data", "noise", "method"):
        error = np.array([row["error"] for row in group])
        gain = [abs(row["gain_error"]) for row in group if "gain_error" in row]
        line = [row["variance_error"] for row in group if "variance_error" in row]
        inside = [row["inside"] for row in group if "inside" in row]
        lines.append(
            f"| {group[0]['data']} | {group[0]['noise']} | {group[0]['method']} | {len(group)} | {error.mean():+.1%} | "
            f"{error.std():.1%} | {np.median(np.abs(error)):.1%} | {percent(gain)} | {percent(line)} | "
            f"{f'{np.mean(inside):.0%}' if inside else '–'} |"
        )
    return "\n".join(lines)


# White or not --------------------------------------------------------------------------------


def whiteness(item: Item, method: Row, recipe: Row) -> Row:
    """Score how far the noise is from white, beside the true correlation of neighbours."""
    one = analyze(item.as_image()).channels[0]
    rest = item.noisy - item.clean
    rest = rest - rest.mean()
    lags = [(rest[:, 1:] * rest[:, :-1]).mean(), (rest[1:] * rest[:-1]).mean()]
    found = max(one.lags.get("0,1", 0.0), one.lags.get("1,0", 0.0))
    score = found - min(max(one.lags.get("1,1", 0.0), 0.0), 0.15)
    return {"score": score, "white": one.white, "lag": float(max(lags) / (rest**2).mean()), "found": found}


def whiteness_table(rows: Sequence[Row], recipe: Row) -> str:
    """Area under the curve: correlated noises against the white one of the same level."""
    lines = [
        f"| data | noise | lag-one correlation | found | called white (score up to {NOT_WHITE}) | AUC against white |",
        "| --- " * 6 + "|",
    ]
    for group in groups(rows, "data"):
        white: dict[str, list[float]] = {row["noise"].split("=")[1].split(",")[0]: [] for row in group}
        for row in group:
            if row["noise"].startswith("gaussian"):
                white[row["noise"].split("=")[1]].append(row["score"])
        for one in groups(group, "noise"):
            level = one[0]["noise"].split("=")[1].split(",")[0]
            scores, plain = np.array([row["score"] for row in one]), np.array(white[level])
            above = (scores[:, None] > plain).mean() + 0.5 * (scores[:, None] == plain).mean() if plain.size else 0.5
            auc = "–" if one[0]["noise"].startswith("gaussian") else f"{above:.4f}"
            lines.append(
                f"| {one[0]['data']} | {one[0]['noise']} | {np.mean([r['lag'] for r in one]):.2f} | "
                f"{np.mean([r['found'] for r in one]):.2f} | {np.mean([r['white'] for r in one]):.0%} | {auc} |"
            )
    return "\n".join(lines)


# The line of variance on real images -----------------------------------------------------------


def variance_line(item: Item, method: Row, recipe: Row) -> Row:
    """Compare the found line with the truth: variance of raw about its mean in bins of the reference."""
    one = analyze(item.as_image()).channels[0]
    means, variances = [], []
    edges = np.quantile(item.clean, np.linspace(0, 1, 13))
    bins = np.clip(np.searchsorted(edges, item.clean, side="right") - 1, 0, 11)
    for number in range(12):
        x, y = item.clean[bins == number].astype(float), item.noisy[bins == number].astype(float)
        if x.size < 400:
            continue
        slope = np.cov(x, y)[0, 1] / x.var() if x.var() > 0 else 0.0  # the bin's own spread of brightness
        means.append(y.mean())
        variances.append((y - slope * x).var())
    ratio = np.maximum(one.a * np.array(means) + one.b, 0) / np.array(variances)
    return {"error": float(np.median(np.abs(ratio - 1))), "ratio_low": float(ratio[0]),
            "ratio_high": float(ratio[-1]), "ratio": float(np.median(ratio)), "white": one.white}  # fmt: skip


def variance_line_table(rows: Sequence[Row], recipe: Row) -> str:
    """Median error of the line over 12 bins of brightness; its ratio to the truth in the darkest and brightest."""
    lines = ["| data | image | median error | median ratio | darkest | brightest |", "| --- " * 6 + "|"]
    lines += [
        f"| {r['data']} | {r['image']} | {r['error']:.1%} | {r['ratio']:.2f} | {r['ratio_low']:.2f} | "
        f"{r['ratio_high']:.2f} |"
        for r in rows
    ]
    good = np.mean([row["error"] < 0.2 for row in rows])
    return "\n".join([*lines, "", f"Within 20 %: {good:.0%} of {len(rows)} images."])


# Does risk agree with PSNR? ---------------------------------------------------------------------


def agreement(item: Item, method: Row, recipe: Row) -> Row:
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
        noisy = domain.stack(image.data, Stabiliser.forward)
        sure = stein.sure(domain.through(model), noisy, domain.deviation(noisy))
        hidden = hidden_risk(build, model, domain, noisy)
    fitted = fit_gain(clean, item.clean)[0] if item.fit_gain else clean
    row: Row = {"psnr": psnr(fitted, item.clean, item.peak), "family": method.get("family", method["name"])}
    row |= {"sure": sure.value, "sure_error": sure.error}
    return row | {"hidden": hidden.value, "hidden_error": hidden.error}


def agreement_table(rows: Sequence[Row], recipe: Row) -> str:
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


KINDS: dict[str, tuple[Make, Callable[[Sequence[Row], Row], str]]] = {
    "denoise": (denoise, denoise_table),
    "noise-estimation": (estimate, estimate_table),
    "whiteness": (whiteness, whiteness_table),
    "variance-line": (variance_line, variance_line_table),
    "risk-agreement": (agreement, agreement_table),
    "trained": (trained, trained_table),
    "volume": (volume, volume_table),
    "choice": (denoise, choice_table),
    "coverage": (coverage, coverage_table),
}


def kind_of(recipe: Row) -> tuple[Make, Callable[[Sequence[Row], Row], str]]:
    """Return the row-maker and the table of a recipe.

    Raises
    ------
    HushError
        For an unknown kind.
    """
    kind = recipe.get("kind", "denoise")
    if kind not in KINDS:
        raise unknown("kind of recipe", kind, KINDS)
    return KINDS[kind]
