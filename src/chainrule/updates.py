"""Update rules as next-value equations: every right-hand side reads old values, or a `_next` already computed.

State is a symbol with an initial value; `m` of W1 is called m_W1. So an early update cannot be written, and a rule
is one record: its equations in text, LaTeX and source, and its running form, follow.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chainrule.asked import check_word
from chainrule.expr import Node, define, matrix, scalar
from chainrule.primitives import abs, maximum, reciprocal, sqrt

POSITIVE = "a number above 0", lambda x: x > 0
SHARE = "a number from 0 to below 1", lambda x: 0 <= x < 1
DOMAINS: dict[str, tuple[str, Callable[[float], bool]]] = {  # of hyper-parameters, by name
    "lr": POSITIVE, "eps": POSITIVE, "beta1": SHARE, "beta2": SHARE, "rho": SHARE,
    "mu": ("a number from 0 to 1", lambda x: 0 <= x <= 1), "decay": ("at least 0", lambda x: x >= 0),
}  # fmt: skip
NO_RATES: Mapping[Node, Node] = {}


@dataclass(frozen=True)
class Next:
    """The next value of a parameter or of a state, and the value a state starts from."""

    old: Node
    initial: float
    node: Node  # define("..._next", expression)


@dataclass(frozen=True, eq=False)
class Block:
    """One parameter and its gradient, as an update rule sees them; it collects the rule's equations."""

    parameter: Node
    gradient: Node
    nexts: list[Next]

    def state(self, name: str) -> Node:
        """A state of the parameter's shape."""
        return matrix(f"{name}_{self.parameter.name}", *self.parameter.shape, role="state")

    def next(self, old: Node, expression: Node, initial: float = 0.0) -> Node:
        """Say what follows `old`; the result stands for the new value."""
        node = define(f"{old.name}_next", expression)
        self.nexts.append(Next(old, initial, node))
        return node


@dataclass(frozen=True, eq=False)
class UpdateRule:
    """One rule: how a block changes, and the hyper-parameters with their defaults."""

    name: str
    block: Callable[..., None]
    hyper: dict[str, float]
    source: str

    def equations(self, pairs: Sequence[tuple[Node, Node]], rates: Mapping[Node, Node] = NO_RATES) -> list[Next]:
        """The next-value equations of all (parameter, gradient) pairs; powers of the decay rates are kept once.

        A parameter may have its own learning rate, of its own shape: a number for every weight.
        """
        symbols = {name: scalar(name) for name in self.hyper}
        nexts: list[Next] = []
        for parameter, gradient in pairs:
            rate = rates.get(parameter, symbols["lr"])
            self.block(Block(parameter, gradient, nexts), **symbols | {"lr": rate})
        return list(dict.fromkeys(nexts))


UPDATES: dict[str, UpdateRule] = {}
RESERVED = frozenset({"X", "Y", "w", "n", "s", "loss"})  # names that every step has of its own


def update(block: Callable[..., None]) -> Callable[..., None]:
    """Record an update rule: the name of a function, its defaults and its docstring say all.

    Its first argument is the `Block`; the others are hyper-parameters, 1 x 1 symbols in the equations, one of them
    the learning rate `lr`.
    """
    name = block.__name__
    if name in UPDATES:
        raise ValueError(f"there is already an update rule named {name!r}")
    parameters = list(inspect.signature(block).parameters.values())[1:]
    hyper = {p.name for p in parameters}
    if "lr" not in hyper or hyper & RESERVED:
        taken = ", ".join(sorted(RESERVED))
        raise ValueError(f"the update rule {name!r} needs a learning rate lr, and none of {taken}; it has {hyper}")
    UPDATES[name] = UpdateRule(name, block, {p.name: p.default for p in parameters}, inspect.getdoc(block) or "")
    return block


def find_update(name: str) -> UpdateRule:
    """The update rule of a name."""
    check_word("unknown solver", name, UPDATES)
    return UPDATES[name]


def _power(p: Block, decay: Node) -> Node:
    """decay^t for step t = 1, 2, ..., a state multiplied once a step and shared by all parameters."""
    old = scalar(f"{decay.name}_t", role="state")
    return p.next(old, decay * old, 1.0)


def _moment(p: Block, name: str, decay: Node, value: Node) -> Node:
    """An exponentially weighted average: decay m + (1 - decay) value."""
    old = p.state(name)
    return p.next(old, decay * old + (1 - decay) * value)


def _minus(p: Block, lr: Node, direction: Node) -> None:
    p.next(p.parameter, p.parameter - lr * direction)


@update
def sgd(p: Block, lr=0.01) -> None:  # type: ignore[no-untyped-def]  # defaults are numbers, arguments their symbols
    """W - lr dW (Robbins and Monro 1951)."""
    _minus(p, lr, p.gradient)


@update
def momentum(p: Block, lr=0.01, mu=0.9) -> None:  # type: ignore[no-untyped-def]
    """v = mu v - lr dW, W + v (Polyak 1964)."""
    old = p.state("v")
    v = p.next(old, mu * old - lr * p.gradient)
    p.next(p.parameter, p.parameter + v)


@update
def nesterov(p: Block, lr=0.01, mu=0.9) -> None:  # type: ignore[no-untyped-def]
    """v = mu v - lr dW, W + mu v - lr dW (Nesterov 1983, in the form of Sutskever et al. 2013)."""
    old = p.state("v")
    v = p.next(old, mu * old - lr * p.gradient)
    p.next(p.parameter, p.parameter + mu * v - lr * p.gradient)


@update
def adagrad(p: Block, lr=0.01, eps=1e-10) -> None:  # type: ignore[no-untyped-def]
    """W - lr dW / (sqrt(s) + eps), s the sum of squared gradients (Duchi et al. 2011)."""
    old = p.state("s")
    s = p.next(old, old + p.gradient * p.gradient)
    _minus(p, lr, p.gradient * reciprocal(sqrt(s) + eps))


@update
def adadelta(p: Block, lr=1.0, rho=0.9, eps=1e-6) -> None:  # type: ignore[no-untyped-def]
    """W - lr D, D = sqrt(u + eps) / sqrt(s + eps) o dW, u the average of squared D (Zeiler 2012)."""
    s = _moment(p, "s", rho, p.gradient * p.gradient)
    u = p.state("u")
    D = define(f"D_{p.parameter.name}", sqrt(u + eps) * reciprocal(sqrt(s + eps)) * p.gradient)
    _moment(p, "u", rho, D * D)
    _minus(p, lr, D)


@update
def rmsprop(p: Block, lr=0.001, rho=0.9, eps=1e-8) -> None:  # type: ignore[no-untyped-def]
    """W - lr dW / (sqrt(s) + eps), s the average of squared gradients (Tieleman and Hinton 2012)."""
    s = _moment(p, "s", rho, p.gradient * p.gradient)
    _minus(p, lr, p.gradient * reciprocal(sqrt(s) + eps))


@update
def adam(p: Block, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8) -> None:  # type: ignore[no-untyped-def]
    """W - lr m^ / (sqrt(v^) + eps), both averages corrected for their start (Kingma and Ba 2015, algorithm 1)."""
    _minus(p, lr, _adam_direction(p, beta1, beta2, eps))


@update
def adamw(p: Block, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01) -> None:  # type: ignore[no-untyped-def]
    """Adam with decoupled decay: W - lr decay W - lr m^ / (sqrt(v^) + eps) (Loshchilov and Hutter 2019)."""
    direction = _adam_direction(p, beta1, beta2, eps)
    p.next(p.parameter, p.parameter - lr * decay * p.parameter - lr * direction)


def _adam_direction(p: Block, beta1: Node, beta2: Node, eps: Node) -> Node:
    m = _moment(p, "m", beta1, p.gradient) / (1 - _power(p, beta1))
    v = _moment(p, "v", beta2, p.gradient * p.gradient) / (1 - _power(p, beta2))
    direction: Node = m * reciprocal(sqrt(v) + eps)
    return direction


@update
def adamax(p: Block, lr=0.002, beta1=0.9, beta2=0.999, eps=1e-8) -> None:  # type: ignore[no-untyped-def]
    """W - lr m^ / (u + eps), u = max(beta2 u, |dW|) (Kingma and Ba 2015, algorithm 2, where eps is 0)."""
    m = _moment(p, "m", beta1, p.gradient) / (1 - _power(p, beta1))
    old = p.state("u")
    u = p.next(old, maximum(beta2 * old, abs(p.gradient)))
    _minus(p, lr, m * reciprocal(u + eps))


@update
def nadam(p: Block, lr=0.002, beta1=0.9, beta2=0.999, eps=1e-8) -> None:  # type: ignore[no-untyped-def]
    """Adam with Nesterov's look-ahead: beta1 m^ + (1 - beta1) dW/(1 - beta1^t) for m^.

    Dozat 2016, with one beta1 for all steps and one correction, as Ruder 2016 writes it.
    """
    correction = 1 - _power(p, beta1)
    m = _moment(p, "m", beta1, p.gradient)
    v = _moment(p, "v", beta2, p.gradient * p.gradient) / (1 - _power(p, beta2))
    ahead = beta1 * m + (1 - beta1) * p.gradient
    _minus(p, lr, (ahead / correction) * reciprocal(sqrt(v) + eps))


@update
def amsgrad(p: Block, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8) -> None:  # type: ignore[no-untyped-def]
    """Adam with the largest v so far, w = max(w, v), corrected like v (Reddi et al. 2018)."""
    m = _moment(p, "m", beta1, p.gradient) / (1 - _power(p, beta1))
    v = _moment(p, "v", beta2, p.gradient * p.gradient)
    old = p.state("w")
    w = p.next(old, maximum(old, v))
    _minus(p, lr, m * reciprocal(sqrt(w / (1 - _power(p, beta2))) + eps))


__all__ = list(UPDATES)
