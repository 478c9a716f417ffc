"""The notation of noise: what is read, what is refused, and where the mistake stands."""

from __future__ import annotations

import numpy as np
import pytest

from hush.core.errors import HushError
from hush.noise import parse
from test_noise import EXAMPLES, MIXED, drawn


@pytest.mark.parametrize(
    "text",
    [
        *EXAMPLES.values(),
        MIXED,
        "poisson",
        "gaussian:sigma=0..55 + bernoulli:p=0..0.2",
        "33.3333333% poisson | 33.3333333% gaussian:sigma=3 | 33.3333334% uniform:s=3",
        "7% gaussian:sigma=1e+17 + poisson | 93% uniform:s=0.1",
        "stripes:amplitude=2,axis=columns",
    ],
)
def test_notation_round_trip(text: str) -> None:
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)
    assert str(parse(str(drawn(text))).draw(np.random.default_rng(0))) == str(drawn(text))


def test_ranges_are_drawn_once_an_image() -> None:
    noise = parse("gaussian:sigma=10..20")
    sigmas = [noise.draw(np.random.default_rng(seed)).parameters["sigma"] for seed in range(50)]
    assert 10 <= min(sigmas) < 12
    assert 18 < max(sigmas) <= 20


@pytest.mark.parametrize(
    ("text", "says", "under"),
    [
        ("gausian:sigma=25", "did you mean 'gaussian'", "gausian"),
        ("gaussian:sgma=2", "did you mean 'sigma'", "sgma"),
        ("gaussian:sigma=x", "'x' is no number", "x"),
        ("gaussian:sigma=nan", "'nan' is no number", "nan"),
        ("gaussian", "needs sigma", "gaussian"),
        ("gaussian:sigma=-3", "0 or more", "gaussian:sigma=-3"),
        ("gaussian:sigma=5 + bernoulli:p=2", "0 to 1", "bernoulli:p=2"),
        ("gaussian:sigma=55..0", "backwards", "55..0"),
        ("10% gaussian:sigma=3 | 20% poisson", "sum to 30 %", "10% gaussian:sigma=3 | 20% poisson"),
        ("gaussian:sigma=3 | 20% poisson", "its share", "gaussian:sigma=3"),
        ("gaussian:sigma=3,sigma=4", "twice", "sigma=4"),
        ("gaussian:25", "name=value", "25"),
        ("stripes:amplitude=3,axis=x", "rows, columns", "stripes:amplitude=3,axis=x"),
        ("gaussian:sigma=3 + ", "missing", " "),
        ("", "missing", ""),
        ("gaussian:", "name=value", ""),
        ("gaussian:sigma=2)", "'2)' is no number", "2)"),
        ("gaussian:sigma=1_0", "is no number", "1_0"),
        ("poisson_gaussian:gain=1+gaussian", "needs sigma", "gaussian"),
        ("-10% poisson | 110% gaussian:sigma=3", "more than 0 %", "-10"),
        ("50% poisson", "sum to 50 %", "50% poisson"),
    ],
)
def test_mistakes_are_quoted_and_underlined(text: str, says: str, under: str) -> None:
    with pytest.raises(HushError) as caught:
        parse(text)
    message, typed, marks = str(caught.value).rsplit("\n", 2)
    assert says in message
    assert typed == "  " + text
    start, width = marks.index("^"), marks.count("^")
    assert (start, typed[start : start + width]) == (typed.rindex(under), under)
