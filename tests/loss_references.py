"""Independent references of the losses: each once more, by hand, in plain NumPy that HIPS autograd traces."""

from dataclasses import dataclass

import autograd.numpy as np


@dataclass(frozen=True)
class Reference:
    """A loss once more by hand: `entries(A, Y, *parameters)`, and where its outputs and targets lie."""

    entries: object
    outputs: str = "real"
    targets: str = "real"
    settings: tuple = ((),)
    over_entries: bool = False
    torch: object = None  # (F, A, Y, *parameters) -> the loss of every entry or row


def smooth(Y, eps):
    return (1 - eps) * Y + eps / Y.shape[1]


def huber(r, delta):
    inside = np.abs(r) <= delta
    return np.where(inside, r**2 / 2, delta * (np.abs(r) - delta / 2))


REFERENCES = {
    "cross_entropy": Reference(
        lambda A, Y, eps=0.0: -smooth(Y, eps) * np.log(A),
        "distribution", "distribution", ((), (0.1,), (0.9,)),
    ),
    "binary_cross_entropy": Reference(
        lambda A, Y: -(Y * np.log(A) + (1 - Y) * np.log(1 - A)), "unit", "unit",
        torch=lambda F, A, Y: F.binary_cross_entropy(A, Y, reduction="none"),
    ),
    "kl_divergence": Reference(
        lambda A, Y: Y * np.log(np.where(Y == 0, 1, Y) / A), "distribution", "distribution",
        torch=lambda F, A, Y: F.kl_div(A.log(), Y, reduction="none"),
    ),
    "half_squared_error": Reference(
        lambda A, Y: (A - Y) ** 2 / 2, torch=lambda F, A, Y: F.mse_loss(A, Y, reduction="none") / 2
    ),
    "squared_error": Reference(
        lambda A, Y: (A - Y) ** 2, torch=lambda F, A, Y: F.mse_loss(A, Y, reduction="none")
    ),
    "mean_squared_error": Reference(
        lambda A, Y: (A - Y) ** 2, over_entries=True, torch=lambda F, A, Y: F.mse_loss(A, Y, reduction="none")
    ),
    "mean_absolute_error": Reference(
        lambda A, Y: np.abs(A - Y), over_entries=True, torch=lambda F, A, Y: F.l1_loss(A, Y, reduction="none")
    ),
    "huber": Reference(
        lambda A, Y, delta=1.0: huber(A - Y, delta), settings=((), (0.3,), (2.5,)),
        torch=lambda F, A, Y, delta=1.0: F.huber_loss(A, Y, reduction="none", delta=delta),
    ),
    "log_cosh": Reference(lambda A, Y: np.logaddexp(A - Y, Y - A) - np.log(2)),
    "quantile": Reference(
        lambda A, Y, q=0.5: np.where(Y > A, q * (Y - A), (1 - q) * (A - Y)), settings=((), (0.1,), (0.9,))
    ),
    "poisson": Reference(
        lambda A, Y: A - Y * np.log(A), "positive", "nonnegative",
        torch=lambda F, A, Y: F.poisson_nll_loss(A, Y, log_input=False, eps=0, reduction="none"),
    ),
    "hinge": Reference(lambda A, Y: np.maximum(0, 1 - Y * A), targets="signs"),
    "squared_hinge": Reference(lambda A, Y: np.maximum(0, 1 - Y * A) ** 2, targets="signs"),
}  # fmt: skip

DRAW = {
    "real": lambda rng, shape: 2 * rng.standard_normal(shape),
    "positive": lambda rng, shape: rng.exponential(size=shape),
    "nonnegative": lambda rng, shape: rng.poisson(2, shape) * 1.0,
    "unit": lambda rng, shape: rng.uniform(0.01, 0.99, shape),
    "distribution": lambda rng, shape: rng.dirichlet(np.ones(shape[1]), shape[0]),
    "signs": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
}


def draw(name, shape=(6, 3), seed=0):
    """Outputs and targets of a loss, in its domain."""
    rng, reference = np.random.default_rng(seed), REFERENCES[name]
    return DRAW[reference.outputs](rng, shape), DRAW[reference.targets](rng, shape)


def reduced(name, entries, w=None, reduction="mean"):
    """The table of definitions: the sum over outputs (or their mean), then the mean (or sum) over rows."""
    rows = entries.mean(axis=1) if REFERENCES[name].over_entries else entries.sum(axis=1)
    w = np.ones(len(entries)) if w is None else w
    return (w * rows).sum() / (w.sum() if reduction == "mean" else 1)
