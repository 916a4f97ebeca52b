"""Random declared networks with data, and their loss by hand: a chain of independent references.

`draw_case(seed)` keeps away from kinks, where subgradients may differ, and from losses above 1e6.
"""

from dataclasses import dataclass
from typing import Any

import autograd
import autograd.numpy as np
import loss_references
import references
from hypothesis import strategies as st

import chainrule as cr
from chainrule.activations import activations
from chainrule.conventions import OPTIONS, SIDES
from chainrule.errors import PairError
from chainrule.losses import LOSSES

ACTIVATIONS = sorted({f.name for f in activations().values()})
BOTH_SIDES = 1e-4  # a pre-activation or an error nearer to a kink than this is drawn again
KINKS = {"mean_absolute_error": lambda A, Y: A - Y, "quantile": lambda A, Y: A - Y, "hinge": lambda A, Y: 1 - Y * A}


@dataclass(frozen=True)
class Case:
    """A network and one batch; `options` are the keywords of `net.loss`."""

    net: Any
    params: dict
    X: Any
    Y: Any
    options: dict
    masks: dict
    penalty: tuple  # (kind, strength, per_sample) of each term

    def loss(self):
        return self.net.loss(self.params, self.X, self.Y, **self.options)

    def gradient(self):
        return self.net.gradient(self.params, self.X, self.Y, **self.options)

    def expected(self):
        """The loss and the gradient by the references and HIPS autograd."""
        value, gradient = autograd.value_and_grad(lambda p: loss_by_hand(self, p))(self.params)
        return float(value), gradient


def draw_case(seed):
    rng = np.random.default_rng(seed)
    while True:
        case = _draw(rng)
        if case is not None:
            return case


def conventions():
    """Any that does not contradict itself."""
    return st.builds(
        lambda weights, bias, sign, place: cr.Convention(SIDES[weights], weights, place[0], place[1], bias, sign),
        st.sampled_from(OPTIONS["weights"]),
        st.sampled_from(["row", "column", "ones"]),
        st.sampled_from(OPTIONS["sign"]),
        st.sampled_from([("sum", None), *(("mean", scale) for scale in OPTIONS["scale"])]),
    )


def _draw(rng):
    net, penalty = _network(rng)
    rows = int(rng.integers(1, 6))
    params = {k: v + 0.3 * rng.standard_normal(v.shape) for k, v in net.init(rng).items()}
    X = rng.standard_normal((rows, net.inputs))
    domain = loss_references.REFERENCES[net.objective.name].targets
    Y = loss_references.DRAW[domain](rng, (rows, net.outputs))
    options = {"sample_weight": rng.exponential(size=rows)} if rng.random() < 0.4 else {}
    if net.drops and rng.random() < 0.8:
        options["random_state"] = int(rng.integers(1000))
    values = net.forward(params, X, training=True, random_state=options.get("random_state"))
    masks = {k: v for k, v in values.items() if k.startswith("M")}
    case = Case(net, params, X, Y, options, masks, penalty)
    return case if _is_smooth(case, values) and abs(loss_by_hand(case, params)) < 1e6 else None


def _network(rng):
    inputs, depth = int(rng.integers(1, 6)), int(rng.integers(1, 9))
    layers, width = [], inputs
    for i in range(depth):
        last = i == depth - 1
        residual = bool(rng.random() < 0.25)
        width = width if residual else int(rng.integers(1, 6))
        name = str(rng.choice(ACTIVATIONS))
        settings = references.REFERENCES[name].settings
        f = activations()[name](*settings[rng.integers(len(settings))])
        dropout = 0.3 if not last and rng.random() < 0.2 else 0.0
        layers.append(cr.Dense(width, f, bias=bool(rng.random() < 0.8), dropout=dropout, residual=residual))
    strengths = rng.choice([0.0, 0.0, 0.01, 0.3], 2)
    terms = tuple((k, float(s), bool(rng.random() < 0.5)) for k, s in zip(("l1", "l2"), strengths, strict=True) if s)
    penalty = None
    for kind, strength, per_sample in terms:
        term = getattr(cr, kind)(strength, per_sample=per_sample)
        penalty = term if penalty is None else penalty + term
    reduction = str(rng.choice(["mean", "sum"]))
    while True:
        name = str(rng.choice(list(LOSSES)))
        settings = loss_references.REFERENCES[name].settings
        loss = LOSSES[name](*settings[rng.integers(len(settings))])
        try:
            return cr.Network.of(inputs, *layers, loss=loss, penalty=penalty, reduction=reduction), terms
        except PairError:
            if rng.random() < 0.2:  # softmax over one output has no loss
                layers[-1] = cr.Dense(width, "identity")


def _is_smooth(case, values):
    net, far = case.net, []
    for i, layer in enumerate(net.layers, 1):
        f = layer.function
        far += [np.abs(values[f"Z{i}"] - b).min() for b in references.REFERENCES[f.name].breaks(*f.values)]
    if net.objective.name in KINKS:
        far.append(np.abs(KINKS[net.objective.name](values[f"A{len(net.layers)}"], case.Y)).min())
    return all(np.isfinite(v).all() for v in values.values()) and min(far, default=1) > BOTH_SIDES


def loss_by_hand(case, params):
    """The definitions: Z = A W + b, f(Z), + A, o M; the loss of entries, reduced; the penalties."""
    A = case.X
    for i, layer in enumerate(case.net.layers, 1):
        Z = A @ params[f"W{i}"] + (params[f"b{i}"] if layer.bias else 0)
        F = references.REFERENCES[layer.function.name].value(Z, *layer.function.values)
        A = (F + A if layer.residual else F) * case.masks.get(f"M{i}", 1)
    name, w = case.net.objective.name, case.options.get("sample_weight")
    entries = _entries(case, Z, A)
    total = loss_references.reduced(name, entries, w, case.net.reduction)
    rows = len(case.X) if w is None else w.sum()
    for kind, strength, per_sample in case.penalty:
        for W in (v for k, v in params.items() if k.startswith("W")):
            term = np.abs(W).sum() if kind == "l1" else (W**2).sum() / 2
            total = total + strength * term / (rows if per_sample else 1)
    return total


def _entries(case, Z, A):
    """The loss of every entry; the logarithms of probabilities from the scores, so that no digits are lost."""
    loss, last, Y = case.net.objective, case.net.layers[-1], case.Y
    if last.residual or last.function.name not in ("softmax", "logistic") or loss.outputs.high != 1:
        return loss_references.REFERENCES[loss.name].entries(A, Y, *loss.values)
    softmax = last.function.name == "softmax"
    log = Z - references.logsumexp(Z) if softmax else -references.softplus(-Z)
    if loss.name == "binary_cross_entropy":
        return -(Y * log - (1 - Y) * references.softplus(Z))
    if loss.name == "kl_divergence":
        return Y * (np.log(np.where(Y == 0, 1, Y)) - log)
    return -loss_references.smooth(Y, *loss.values) * log
