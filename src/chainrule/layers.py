"""Layers: plain functions that build expressions. A layer has no derivative of its own.

A layer returns a record of its named definitions, its parameters and its random matrices; a network chains them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.activations import activations
from chainrule.calls import Call, bind, parse_call
from chainrule.errors import ShapeError, UnknownNameError, nearest
from chainrule.expr import Node, define, matrix, ones
from chainrule.functions import Function
from chainrule.initializers import find_initializer
from chainrule.shapes import Size

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
        if isinstance(self.width, bool) or not isinstance(self.width, int) or self.width < 1:
            raise ShapeError(f"the width of a layer is a whole number of at least 1, got {self.width!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a probability in [0, 1), got {self.dropout!r}")
        object.__setattr__(self, "activation", find_activation(self.activation))
        self.initial()  # a wrong name is an error here, not when weights are drawn

    @property
    def function(self) -> Function:
        """The activation."""
        assert isinstance(self.activation, Function)
        return self.activation

    def initial(self) -> tuple[str, tuple[float, ...]]:
        """The initializer's name and parameters."""
        call = parse_call(self.initializer) if self.initializer else Call(self.function.initializer)
        return call.name, bind(call, find_initializer(call.name).parameters)

    def __str__(self) -> str:
        """As a specification writes it."""
        words = [str(self.width), str(self.function)]
        words += [f"dropout={self.dropout:g}"] * bool(self.dropout)
        words += ["nobias"] * (not self.bias) + ["residual"] * self.residual
        return " ".join(words + [f"init={self.initializer}"] * bool(self.initializer))


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
    parameters: tuple[Node, ...]
    randoms: tuple[Node, ...]


def build(layer: Dense, index: int, A: Node, *, last: bool, training: bool) -> Built:
    """The expressions of layer number `index` on the outputs A of the one before; dropout only while training."""
    f = layer.function
    W = matrix(f"W{index}", A.shape[1], layer.width, role="parameter")
    b = matrix(f"b{index}", 1, layer.width, role="parameter")
    Z = define(f"Z{index}", A @ W + ones(A.shape[0]) @ b if layer.bias else A @ W)
    definitions = [Definition(Z, "dense")]
    called = "P" if last and f.name == "softmax" and not layer.residual else f"A{index}"
    if layer.residual:
        F = define(f"F{index}", f(Z))
        output = define(called, F + A)
        definitions += [Definition(F, str(f)), Definition(output, "residual")]
    else:
        output = define(called, f(Z))
        definitions.append(Definition(output, str(f)))
    randoms: tuple[Node, ...] = ()
    if layer.dropout and training:
        M = mask(f"M{index}", A.shape[0], layer.width, layer.dropout)
        output = define(f"D{index}", output * M)
        definitions.append(Definition(output, "dropout"))
        randoms = (M,)
    return Built(tuple(definitions), output, Z, (W, b) if layer.bias else (W,), randoms)


def mask(name: str, rows: Size, columns: Size, dropout: float) -> Node:
    """A dropout mask: entries 1/(1 - p) with probability 1 - p, else 0; used forward and so again backward."""
    return matrix(name, rows, columns, role="random", distribution=("inverted_bernoulli", 1 - dropout))


def find_activation(wanted: str | Function) -> Function:
    """The activation of a name such as "leaky_relu(0.1)", or a function that may be one."""
    if isinstance(wanted, Function):
        return wanted
    call = parse_call(wanted)
    return activation_of(call, text=wanted)


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
