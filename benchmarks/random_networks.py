"""Gradients of random declared networks against PyTorch in float64.

    python -m benchmarks.random_networks [--count 10000] [--seed 0] [--quick]

Depth 1 to 8, widths 1 to 12, 1 to 20 rows; every activation, inside and at the end; every loss on every activation it
may follow; penalties, sample weights, residual layers, dropout with the same masks on both sides, layers without
bias; weights as `net.init` draws them, biases N(0, 0.09), inputs N(0, 1). A network passes when
max |g - g_ref| <= 1e-12 max |g_ref| + 1e-15, both over its whole gradient. One is drawn again only when its loss is
not finite or above 1e6. The exit status is 1 if any fails.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

import chainrule as cr
from benchmarks.common import arguments, print_machine
from chainrule.activations import activations
from chainrule.errors import PairError
from chainrule.functions import Function
from chainrule.losses import LOSSES, Loss, check_pair

TOO_LARGE = 1e6
RELATIVE, ABSOLUTE = 1e-12, 1e-15  # of the largest entry of the whole gradient; of a gradient that vanishes
Rng = np.random.Generator


@dataclass(frozen=True)
class Case:
    """A network, and everything its loss depends on."""

    network: cr.Network
    params: dict[str, np.ndarray]
    X: np.ndarray
    Y: np.ndarray
    sample_weight: np.ndarray | None
    seed: int  # of the dropout masks

    def gradient(self) -> dict[str, np.ndarray]:
        """As the package computes it."""
        return self.network.gradient(
            self.params, self.X, self.Y, sample_weight=self.sample_weight, random_state=self.seed
        )

    def reference(self) -> tuple[float, dict[str, np.ndarray]]:
        """The loss and the gradient as PyTorch finds them."""
        from benchmarks.torch_reference import loss_and_gradient

        masks = {}
        if self.network.drops:
            values = self.network.forward(self.params, self.X, training=True, random_state=self.seed)
            masks = {name: value for name, value in values.items() if name.startswith("M")}
        return loss_and_gradient(self.network, self.params, self.X, self.Y, self.sample_weight, masks)

    def features(self) -> Iterator[tuple[str, str]]:
        """What is in it: (kind, name), to be counted."""
        layers, terms = self.network.layers, self.network.penalty.terms
        loss = self.network.objective
        yield from {("activation", f.function.name) for f in layers}
        yield "loss", str(loss)
        yield "loss on", f"{loss} on {layers[-1].ending}"
        yield "depth", str(len(layers))
        yield "reduction", self.network.reduction
        yield "penalty", " + ".join(f"{kind} per row" if per_row else kind for kind, _, per_row in terms) or "none"
        parts = {
            "sample weights": self.sample_weight is not None,
            "residual": any(f.residual for f in layers),
            "dropout": any(f.dropout for f in layers),
            "nobias": any(not f.bias for f in layers),
            "one row": len(self.X) == 1,
        }
        yield from (("with", name) for name, holds in parts.items() if holds)


# ---- drawing


def draw(rng: Rng) -> Case:
    """A random case; its loss may be anything."""
    network = draw_network(rng)
    n = int(rng.integers(1, 21))
    params = {
        name: value + 0.3 * rng.standard_normal(value.shape) * name.startswith("b")
        for name, value in network.init(rng).items()
    }
    X = rng.standard_normal((n, network.inputs))
    weights = rng.choice([0.0, 0.5, 1.0, 3.0], n) if rng.random() < 0.3 else None
    if weights is not None:
        weights[rng.integers(n)] = 1.0  # not all zero
    return Case(network, params, X, draw_targets(network, n, rng), weights, int(rng.integers(2**31)))


def draw_network(rng: Rng) -> cr.Network:
    loss, endings = pairs()[rng.integers(len(pairs()))]
    ending = endings[rng.integers(len(endings))]
    depth = int(rng.integers(1, 9))
    inputs = fan_in = int(rng.integers(1, 13))
    layers = []
    for i in range(depth):
        last = i == depth - 1
        f = ending if last else functions()[rng.integers(len(functions()))]
        width = fan_in if rng.random() < 0.3 else int(rng.integers(1, 13))
        if last and not may_follow(loss, f, width):
            width += 1  # one output is no distribution
        residual = bool(width == fan_in and rng.random() < 0.5 and (not last or f.name == "identity"))
        dropout = 0.0 if last or rng.random() < 0.8 else float(rng.choice([0.1, 0.25, 0.5]))
        layers.append(cr.Dense(width, f, bias=bool(rng.random() < 0.85), dropout=dropout, residual=residual))
        fan_in = width
    reduction = "sum" if rng.random() < 0.3 else "mean"
    return cr.Network.of(inputs, *layers, loss=loss, penalty=draw_penalty(rng), reduction=reduction)


@cache
def functions() -> list[Function]:
    """Every activation, some with other parameters too."""
    return [*dict.fromkeys(activations().values()), cr.leaky_relu(0.2), cr.elu(0.5), cr.celu(0.7)]


@cache
def pairs() -> list[tuple[Loss, list[Function]]]:
    """Every loss, some with other parameters too, and the activations that it may follow."""
    losses = [*LOSSES.values(), cr.huber(0.5), cr.quantile(0.9), cr.cross_entropy(0.1)]
    return [(loss, [f for f in functions() if may_follow(loss, f)]) for loss in losses]


def may_follow(loss: Loss, f: Function, width: int = 2) -> bool:
    try:
        check_pair(loss, f, width)
    except PairError:
        return False
    return True


def draw_penalty(rng: Rng) -> str | None:
    terms = [
        f"{kind}({strength:g}{', per_sample=1' * (rng.random() < 0.3)})"
        for kind, strength in zip(("l1", "l2"), rng.choice([0.001, 0.1, 1.0], 2), strict=True)
        if rng.random() < 0.4
    ]
    return " + ".join(terms) or None


def draw_targets(network: cr.Network, n: int, rng: Rng) -> np.ndarray:
    k = network.outputs
    hard = rng.random() < 0.7
    draws = {
        "real": lambda: rng.standard_normal((n, k)),
        "distribution": lambda: np.eye(k)[rng.integers(k, size=n)] if hard else rng.dirichlet(np.ones(k), n),
        "unit": lambda: rng.integers(0, 2, (n, k)) * 1.0 if hard else rng.random((n, k)),
        "nonnegative": lambda: rng.poisson(1.5, (n, k)) * 1.0,
        "signs": lambda: rng.choice([-1.0, 1.0], (n, k)),
    }
    return draws[network.objective.targets]()


# ---- comparing


@dataclass(frozen=True)
class Outcome:
    """One case compared: the largest difference in the whole gradient, as a part of what is allowed."""

    case: Case
    ratio: float

    @property
    def passed(self) -> bool:
        return self.ratio <= 1  # so that NaN fails


def compare(case: Case) -> Outcome | None:
    """The gradient against the reference's; None where the loss is too large to be a test."""
    loss, expected = case.reference()
    if not abs(loss) <= TOO_LARGE:
        return None
    found = case.gradient()
    if {name: g.shape for name, g in found.items()} != {name: g.shape for name, g in expected.items()}:
        return Outcome(case, np.inf)
    largest = max(float(abs(g).max()) for g in expected.values())
    gap = np.max([abs(found[name] - g).max() for name, g in expected.items()])
    return Outcome(case, float(gap / (RELATIVE * largest + ABSOLUTE)))


def outcomes(count: int, seed: int) -> Iterator[Outcome | None]:
    """`count` networks compared, and None for every one that was drawn again."""
    rng = np.random.default_rng(seed)
    while count:
        outcome = compare(draw(rng))
        count -= outcome is not None
        yield outcome


def main() -> int:
    options = arguments(__doc__, count=10_000, seed=0)
    import torch

    torch.set_num_threads(1)  # small products, in one order
    print_machine("torch")
    counts: Counter[tuple[str, str]] = Counter()
    worst, passed, failed, again = 0.0, 0, 0, 0
    for outcome in outcomes(20 if options.quick else options.count, options.seed):
        if outcome is None:
            again += 1
            continue
        counts.update(outcome.case.features())
        worst = max(worst, outcome.ratio)
        passed += outcome.passed
        if not outcome.passed:
            failed += 1
            print(f"{outcome.ratio:.2g} of what is allowed: {outcome.case.network!r}", flush=True)
    print_coverage(counts)
    print(f"{passed} of {passed + failed} passed, the worst at {worst:.2g} of what is allowed")
    print(f"{again} drawn again, seed {options.seed}")
    return 1 if failed else 0


def print_coverage(counts: Counter[tuple[str, str]]) -> None:
    """How many networks had each feature."""
    for kind in dict.fromkeys(kind for kind, _ in counts):
        found = {name: n for (k, name), n in counts.most_common() if k == kind}
        if kind == "loss on":
            print(f"{len(found)} of {sum(len(endings) for _, endings in pairs())} losses on a last activation")
        else:
            print(f"{kind}: {', '.join(f'{name} ({n})' for name, n in found.items())}")
    print()


if __name__ == "__main__":
    sys.exit(main())
