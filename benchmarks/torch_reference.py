"""The gradient of a declared network once more: by PyTorch, in float64, every formula written here from exp and log.

It shares nothing with the package. At kinks it takes the subgradients that the package promises, so that no network
has to be kept away from them: a unit that is exactly 0 is common where there is no bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, erfc, exp, expm1, log, logaddexp, square, tanh, where, xlogy, zeros_like

import chainrule as cr


def above(x: Tensor) -> Tensor:
    """max(x, 0), of slope 0 at 0."""
    return where(x > 0, x, zeros_like(x))


def below(x: Tensor) -> Tensor:
    """min(x, 0), of slope 1 at 0."""
    return where(x > 0, zeros_like(x), x)


def clipped(x: Tensor, low: float, high: float) -> Tensor:
    """x between two bounds, of slope 0 at both."""
    return where(x <= low, zeros_like(x) + low, where(x >= high, zeros_like(x) + high, x))


def softplus(x: Tensor) -> Tensor:
    return logaddexp(x, zeros_like(x))


def logistic(x: Tensor) -> Tensor:
    """By the one of its two formulas in which exp cannot overflow."""
    return where(x > 0, 1 / (1 + exp(-above(x))), exp(below(x)) / (1 + exp(below(x))))


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    return where(x > 0, x, alpha * expm1(below(x)))


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    return where(x > 0, x, alpha * expm1(below(x) / alpha))


def log_softmax(x: Tensor) -> Tensor:
    shifted = x - x.max(dim=1, keepdim=True).values.detach()
    return shifted - log(exp(shifted).sum(dim=1, keepdim=True))


def softmax(x: Tensor) -> Tensor:
    e = exp(x - x.max(dim=1, keepdim=True).values.detach())
    return e / e.sum(dim=1, keepdim=True)


ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "identity": lambda x: x,
    "logistic": logistic,
    "tanh": tanh,
    "relu": above,
    "leaky_relu": lambda x, slope=0.01: where(x > 0, x, slope * x),
    "elu": elu,
    "selu": lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
    "celu": celu,
    "gelu": lambda x: x / 2 * erfc(-x / math.sqrt(2)),
    "gelu_tanh": lambda x: x / 2 * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x * logistic(x),
    "mish": lambda x: x * tanh(softplus(x)),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "hard_sigmoid": lambda x: clipped(x + 3, 0, 6) / 6,
    "hard_tanh": lambda x: clipped(x, -1, 1),
    "hard_swish": lambda x: x * clipped(x + 3, 0, 6) / 6,
    "relu6": lambda x: clipped(x, 0, 6),
    "softmax": softmax,
    "log_softmax": log_softmax,
}


@dataclass(frozen=True)
class Outputs:
    """What a loss is computed from: outputs, and their logarithms where the scores give them at any size."""

    value: Tensor
    activation: str
    scores: Tensor

    def log(self) -> Tensor:
        stable = {"softmax": log_softmax, "logistic": lambda z: -softplus(-z)}
        return stable[self.activation](self.scores) if self.activation in stable else log(self.value)

    def log_of_rest(self) -> Tensor:
        """log(1 - a) of logistic outputs."""
        return -softplus(self.scores)


def huber(r: Tensor, delta: float) -> Tensor:
    return where(abs(r) <= delta, square(r) / 2, delta * (abs(r) - delta / 2))


def quantile(a: Tensor, y: Tensor, q: float) -> Tensor:
    return where(a > y, (1 - q) * (a - y), q * (y - a))


LOSSES: dict[str, Callable[..., Tensor]] = {  # of outputs and targets: the loss of every entry
    "cross_entropy": lambda out, y, eps: -((1 - eps) * y + eps / y.shape[1]) * out.log(),
    "binary_cross_entropy": lambda out, y: -(y * out.log() + (1 - y) * out.log_of_rest()),
    "kl_divergence": lambda out, y: xlogy(y, y) - y * out.log(),
    "half_squared_error": lambda out, y: square(out.value - y) / 2,
    "squared_error": lambda out, y: square(out.value - y),
    "mean_squared_error": lambda out, y: square(out.value - y) / y.shape[1],
    "mean_absolute_error": lambda out, y: abs(out.value - y) / y.shape[1],
    "huber": lambda out, y, delta: huber(out.value - y, delta),
    "log_cosh": lambda out, y: logaddexp(out.value - y, y - out.value) - math.log(2),
    "quantile": lambda out, y, q: quantile(out.value, y, q),
    "poisson": lambda out, y: out.value - y * out.log(),
    "hinge": lambda out, y: above(1 - y * out.value),
    "squared_hinge": lambda out, y: square(above(1 - y * out.value)),
}
PENALTIES: dict[str, Callable[[Tensor], Tensor]] = {"l1": lambda W: abs(W).sum(), "l2": lambda W: square(W).sum() / 2}


def tensor(array: Any) -> Tensor:
    return torch.tensor(array, dtype=torch.float64)


def loss_and_gradient(
    network: cr.Network,
    params: Mapping[str, np.ndarray],
    X: np.ndarray,
    Y: np.ndarray,
    sample_weight: np.ndarray | None,
    masks: Mapping[str, np.ndarray],
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss and its gradient; `masks` are the dropout masks M1, ... by name."""
    tensors = {name: tensor(array).requires_grad_() for name, array in params.items()}
    out = forward(network, tensors, tensor(X), masks)
    rows = LOSSES[network.objective.name](out, tensor(Y), *network.objective.values).sum(dim=1)
    w = torch.ones_like(rows) if sample_weight is None else tensor(sample_weight)
    loss = (w * rows).sum() / (w.sum() if network.reduction == "mean" else 1)
    for kind, strength, per_sample in network.penalty.terms:
        size = sum(PENALTIES[kind](W) for name, W in tensors.items() if name.startswith("W"))
        loss = loss + strength * size / (w.sum() if per_sample else 1)
    loss.backward()
    gradient = {k: np.zeros(t.shape) if t.grad is None else t.grad.numpy() for k, t in tensors.items()}
    return loss.item(), gradient


def forward(network: cr.Network, params: Mapping[str, Tensor], A: Tensor, masks: Mapping[str, np.ndarray]) -> Outputs:
    for i, layer in enumerate(network.layers, 1):
        Z = A @ params[f"W{i}"]
        Z = Z + params[f"b{i}"] if layer.bias else Z
        F = ACTIVATIONS[layer.function.name](Z, *layer.function.values)
        A = F + A if layer.residual else F
        A = A * tensor(masks[f"M{i}"]) if f"M{i}" in masks else A
    return Outputs(A, "identity" if layer.residual else layer.function.name, Z)
