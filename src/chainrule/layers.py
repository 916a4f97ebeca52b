"""Layers: plain functions that build expressions. A layer has no derivative of its own.

A layer returns a record of its named definitions, its parameters and its random matrices; a network chains them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypeGuard

from chainrule.activations import activations, identity
from chainrule.calls import Call, bind, check_text, format_call, parse_call
from chainrule.errors import ShapeError, SpecError, UnknownNameError, nearest
from chainrule.expr import Node, define, matrix, ones
from chainrule.functions import Function
from chainrule.initializers import find_initializer
from chainrule.shapes import Size
from chainrule.spec import LayerSpec
from chainrule.stack import block, hstack

ROWS = "n"  # the name of the number of examples


@dataclass(frozen=True)
class Dense:
    """A fully connected layer: Z = A W + 1 b, and f(Z).

    Parameters
    ----------
    width : int
        Number of outputs.
    activation : str or Function
        Such as "relu", "leaky_relu(0.1)" or `cr.elu(0.5)`.
    bias : bool
        Without it, Z = A W.
    dropout : float
        The probability with which an entry of the output is set to 0 while training; others are divided by
        1 - dropout (inverted dropout).
    residual : bool
        Add the layer's input to its output, f(Z) + A; both need one width.
    initializer : str, optional
        Such as "he_normal" or "normal(0.1)"; the activation's usual one where it is not given.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network.of(4, cr.Dense(8, "tanh"), cr.Dense(8, "tanh", residual=True), cr.Dense(3, "softmax"))
    >>> print(net)
    4 -> 8 tanh -> 8 tanh residual -> 3 softmax, cross_entropy
    """

    width: int
    activation: str | Function = "identity"
    bias: bool = True
    dropout: float = 0.0
    residual: bool = False
    initializer: str | None = None

    def __post_init__(self) -> None:
        if not (width := whole(self.width)):
            raise ShapeError(f"the width of a layer is a whole number of at least 1, got {self.width!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a probability in [0, 1), got {self.dropout!r}")
        # Plain data in one spelling, so that layers which mean the same are equal.
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "activation", format_call(call_of(find_activation(self.activation))))
        if self.initializer is not None:
            object.__setattr__(self, "initializer", format_call(parse_call(self.initializer)))
        self.initial()  # a wrong name is an error here, not when weights are drawn

    @property
    def function(self) -> Function:
        """The activation."""
        return find_activation(self.activation)

    @property
    def ending(self) -> Function:
        """The function whose range and facts the outputs have: a sum with the inputs has no bounds."""
        return identity if self.residual else self.function

    def initial(self) -> tuple[str, tuple[float, ...]]:
        """The initializer's name and parameters."""
        call = parse_call(self.initializer or self.function.initializer)
        return call.name, bind(call, find_initializer(call.name).parameters, self.initializer)

    def __reduce__(self) -> tuple[Any, ...]:
        """With the record of the activation, which another process imports from its own module."""
        return Dense, (self.width, self.function, self.bias, self.dropout, self.residual, self.initializer)


@dataclass(frozen=True)
class Definition:
    """A named expression of the forward pass, and the rule or composition that made it."""

    node: Node
    rule: str


@dataclass(frozen=True)
class Built:
    """A layer as expressions: its definitions in order, what it hands on, and what it needs."""

    definitions: tuple[Definition, ...]
    output: Node
    pre_activation: Node
    weights: Node  # what a penalty measures
    parameters: tuple[Node, ...]  # the weights and, where it is one of its own, the bias
    randoms: tuple[Node, ...]


def build(layer: Dense, number: int, A: Node, *, last: bool, training: bool, stacked: bool = False) -> Built:
    """The expressions of layer `number` on the outputs A of the one before; dropout only while training.

    With `stacked` the bias is the last row of W, and A has a one at the end of every row.
    """
    rows, fan_in = A.shape
    assert isinstance(fan_in, int)
    stacked = stacked and layer.bias
    W = matrix(f"W{number}", fan_in + stacked, layer.width, role="parameter")
    weights = block(W, rows=(0, fan_in))
    parameters: tuple[Node, ...] = (W,)
    if stacked:
        Z = hstack(A, ones(rows)) @ W
    elif layer.bias:
        b = matrix(f"b{number}", 1, layer.width, role="parameter")
        Z, parameters = A @ W + ones(rows) @ b, (W, b)
    else:
        Z = A @ W
    Z = define(f"Z{number}", Z)
    definitions = [Definition(Z, "dense")]
    output, rule = layer.function(Z), str(layer.function)
    if layer.residual:
        F = define(f"F{number}", output)
        definitions.append(Definition(F, rule))
        output, rule = F + A, "residual"
    output = define("P" if last and "rows_sum_to_one" in layer.ending.facts else f"A{number}", output)
    definitions.append(Definition(output, rule))
    randoms: tuple[Node, ...] = ()
    if layer.dropout and training:
        M = mask(f"M{number}", rows, layer.width, layer.dropout)
        output = define(f"D{number}", output * M)
        definitions.append(Definition(output, "dropout"))
        randoms = (M,)
    return Built(tuple(definitions), output, Z, weights, parameters, randoms)


def whole(size: object) -> int:
    """A size as a whole number, or 0 for what is not one of at least 1."""
    return max(int(size), 0) if is_whole(size) else 0


def is_whole(number: object) -> TypeGuard[Integral]:
    """Is it a whole number, which True is not?"""
    return isinstance(number, Integral) and not isinstance(number, bool)


def mask(name: str, rows: Size, columns: Size, dropout: float) -> Node:
    """A dropout mask: entries 1/(1 - p) with probability 1 - p, else 0; used forward and so again backward."""
    return matrix(name, rows, columns, role="random", distribution=("inverted_bernoulli", 1 - dropout))


def find_activation(wanted: str | Function) -> Function:
    """The activation of a name such as "leaky_relu(0.1)", or a function that may be one."""
    if not isinstance(wanted, Function):
        check_text("an activation", wanted, "leaky_relu(0.1)")
        return activation_of(parse_call(wanted), text=wanted)
    if wanted.name not in activations():
        raise UnknownNameError(f"{wanted.name} is a function, and no activation; known are {', '.join(activations())}")
    return wanted


def call_of(f: Function) -> Call:
    """The call that names an activation; parameters at their defaults are left out."""
    return Call(f.name, () if f.values == tuple(f.parameters.values()) else f.values)


def activation_of(call: Call, text: str | None = None) -> Function:
    """The activation that a parsed call names, with its parameters."""
    known = activations()
    if call.name not in known:
        raise UnknownNameError(f"unknown activation {call.name!r}{nearest(call.name, known)}")
    f = known[call.name]
    values = bind(call, f.parameters.items(), text)
    return f if values == f.values else f(*values)


def check_widths(inputs: int, layers: Sequence[Dense]) -> None:
    """Residual layers keep the width; the last layer drops nothing."""
    width = inputs
    for i, layer in enumerate(layers, 1):
        if layer.residual and layer.width != width:
            raise ShapeError(
                f"residual layer {i} adds its input of width {width} to its output of width {layer.width}: "
                f"give both one width, or leave residual out"
            )
        width = layer.width
    if layers[-1].dropout:
        raise ValueError(f"layer {len(layers)} is the output: dropout={layers[-1].dropout:g} would drop predictions")


def remarks(layers: Sequence[Dense]) -> list[str]:
    """In words, which layers compute the same whatever their inputs: those that go along rows of one entry."""
    return [
        f"layer {i}: {layer.function.name} over one output is always the same number; give it 2 or more"
        for i, layer in enumerate(layers, 1)
        if layer.width == 1 and layer.function.axis is not None
    ]


def declared(layer: LayerSpec, text: str) -> Dense:
    """A layer as it is specified."""
    if layer.batchnorm:
        raise SpecError("batchnorm is not built yet: leave it out", text, layer.position)
    return Dense(
        layer.width,
        activation_of(layer.activation, text),
        bias=layer.bias,
        dropout=layer.dropout,
        residual=layer.residual,
        initializer=None if layer.initializer is None else format_call(layer.initializer),
    )


def written(layer: Dense) -> LayerSpec:
    """What specifies a layer."""
    return LayerSpec(
        layer.width,
        call_of(layer.function),
        dropout=layer.dropout,
        bias=layer.bias,
        residual=layer.residual,
        initializer=None if layer.initializer is None else parse_call(layer.initializer),
    )
