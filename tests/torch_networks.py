"""Random declared networks in PyTorch, float64: every function written from exp and log, none of its own thresholds."""

import math

import torch
from torch import abs, clamp, exp, expm1, log, log1p, tanh, where


def logistic(x):
    e = exp(-abs(x))
    return where(x < 0, e, 1) / (1 + e)


def softplus(x):
    return clamp(x, min=0) + log1p(exp(-abs(x)))


def elu(x, alpha=1.0):
    return clamp(x, min=0) + alpha * expm1(clamp(x, max=0))


def log_softmax(x):
    shifted = x - x.max(dim=1, keepdim=True).values.detach()
    return shifted - log(exp(shifted).sum(dim=1, keepdim=True))


ACTIVATIONS = {
    "identity": lambda x: x,
    "logistic": logistic,
    "tanh": tanh,
    "relu": lambda x: clamp(x, min=0),
    "leaky_relu": lambda x, slope=0.01: where(x < 0, slope * x, x),
    "elu": elu,
    "selu": lambda x: 1.0507009873554804934193 * elu(x, 1.6732632423543772848170),
    "celu": lambda x, alpha=1.0: clamp(x, min=0) + alpha * expm1(clamp(x, max=0) / alpha),
    "gelu": lambda x: x * torch.special.erfc(-x / math.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "silu": lambda x: x * logistic(x),
    "mish": lambda x: x * tanh(softplus(x)),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "hard_sigmoid": lambda x: clamp(x + 3, 0, 6) / 6,
    "hard_tanh": lambda x: clamp(x, -1, 1),
    "hard_swish": lambda x: x * clamp(x + 3, 0, 6) / 6,
    "relu6": lambda x: clamp(x, 0, 6),
    "softmax": lambda x: exp(log_softmax(x)),
    "log_softmax": log_softmax,
}
LOSSES = {  # of outputs, targets, log outputs and log(1 - outputs)
    "cross_entropy": lambda A, Y, log, left, eps: -((1 - eps) * Y + eps / Y.shape[1]) * log,
    "binary_cross_entropy": lambda A, Y, log, left: -Y * log - (1 - Y) * left,
    "kl_divergence": lambda A, Y, log, left: torch.xlogy(Y, Y) - Y * log,
    "half_squared_error": lambda A, Y, log, left: (A - Y) ** 2 / 2,
    "squared_error": lambda A, Y, log, left: (A - Y) ** 2,
    "mean_squared_error": lambda A, Y, log, left: (A - Y) ** 2 / Y.shape[1],
    "mean_absolute_error": lambda A, Y, log, left: abs(A - Y) / Y.shape[1],
    "huber": lambda A, Y, log, left, delta: where(
        abs(A - Y) < delta, (A - Y) ** 2 / 2, delta * (abs(A - Y) - delta / 2)
    ),
    "log_cosh": lambda A, Y, log, left: abs(A - Y) + log1p(exp(-2 * abs(A - Y))) - math.log(2),
    "quantile": lambda A, Y, log, left, q: where(Y > A, q * (Y - A), (1 - q) * (A - Y)),
    "poisson": lambda A, Y, log, left: A - Y * log,
    "hinge": lambda A, Y, log, left: clamp(1 - Y * A, min=0),
    "squared_hinge": lambda A, Y, log, left: clamp(1 - Y * A, min=0) ** 2,
}


def value_and_gradient(case):
    """The loss and the gradient of a `random_networks.Case`, as floats and arrays."""
    params = {name: torch.tensor(value, requires_grad=True) for name, value in case.params.items()}
    total = _loss(case, params)
    total.backward()
    return total.item(), {name: p.grad.numpy() for name, p in params.items()}


def _loss(case, params):
    A = torch.tensor(case.X)
    for i, layer in enumerate(case.net.layers, 1):
        Z = A @ params[f"W{i}"] + (params[f"b{i}"] if layer.bias else 0)
        F = ACTIVATIONS[layer.function.name](Z, *layer.function.values)
        A = F + A if layer.residual else F
        if f"M{i}" in case.masks:
            A = A * torch.tensor(case.masks[f"M{i}"])
    rows = LOSSES[case.net.objective.name](A, torch.tensor(case.Y), *_logs(case, Z, A), *case.net.objective.values).sum(
        1
    )
    w = case.options.get("sample_weight")
    w = torch.ones(len(rows), dtype=torch.float64) if w is None else torch.tensor(w)
    total = (w * rows).sum() / (w.sum() if case.net.reduction == "mean" else 1)
    for kind, strength, per_sample in case.penalty:
        measure = {"l1": lambda W: abs(W).sum(), "l2": lambda W: (W * W).sum() / 2}[kind]
        size = sum(measure(p) for name, p in params.items() if name.startswith("W"))
        total = total + strength * size / (w.sum() if per_sample else 1)
    return total


def _logs(case, Z, A):
    """Logarithms of the outputs and of what is left to one: from the scores where they are probabilities."""
    last = case.net.layers[-1]
    name = "identity" if last.residual else last.function.name
    if name == "softmax":
        return log_softmax(Z), None
    return (-softplus(-Z), -softplus(Z)) if name == "logistic" else (log(A), None)
