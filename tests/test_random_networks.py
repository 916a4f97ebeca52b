"""Gradients of random declared networks against PyTorch: the benchmark's comparison, on fewer of them."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # for `benchmarks`, which is not installed

pytestmark = pytest.mark.oracle


def failures(count, seed):
    from benchmarks.random_networks import outcomes

    return [repr(o.case.network) for o in outcomes(count, seed) if o is not None and not o.passed]


def test_gradients_are_those_that_pytorch_finds():
    assert not failures(50, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_the_gradients_of_a_thousand_networks_are_those_that_pytorch_finds(seed):
    assert not failures(100, seed)


def test_everything_that_may_be_declared_is_drawn():
    from benchmarks.random_networks import draw, functions, pairs

    rng = np.random.default_rng(0)
    drawn = {feature for _ in range(400) for feature in draw(rng).features()}
    names = lambda kind: {name for k, name in drawn if k == kind}

    assert names("activation") == {f.name for f in functions()}
    assert names("loss") == {str(loss) for loss, _ in pairs()}
    assert names("depth") == {str(depth) for depth in range(1, 9)}
    assert names("reduction") == {"mean", "sum"}
    assert names("with") == {"sample weights", "residual", "dropout", "nobias", "one row"}
    assert {"none", "l1", "l2", "l1 + l2"} < names("penalty")


def test_an_error_in_the_twelfth_digit_is_found(monkeypatch):
    from benchmarks.random_networks import Case, compare, draw

    case = draw(np.random.default_rng(3))
    right = case.gradient()
    assert compare(case).passed
    for name in right:
        largest = max(abs(g).max() for g in right.values())
        wrong = right | {name: right[name] + 2e-12 * largest + 2e-15}
        monkeypatch.setattr(Case, "gradient", lambda self, wrong=wrong: wrong)
        assert not compare(case).passed
    monkeypatch.setattr(Case, "gradient", lambda self: right | {"W1": right["W1"] * np.nan})
    assert not compare(case).passed
    monkeypatch.setattr(Case, "gradient", lambda self: {k: v for k, v in right.items() if k != "W1"})
    assert not compare(case).passed


def test_a_network_whose_loss_is_too_large_is_drawn_again(monkeypatch):
    from benchmarks import random_networks

    monkeypatch.setattr(random_networks, "TOO_LARGE", 0.0)

    assert random_networks.compare(random_networks.draw(np.random.default_rng(3))) is None
