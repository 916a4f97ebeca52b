"""The pages of the rule book: what a record of a function holds, and how one is entered. The records are elsewhere.

A *primitive* (primitives.py) states its derivative and how each target writes it. Everything else, such as an
activation (activations.py), is *defined* by an expression over them; its derivatives, LaTeX and sources follow.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from itertools import product
from numbers import Real
from typing import Any, Literal, overload

import numpy as np

from chainrule.calls import shortest
from chainrule.expr import OPS, Node, Op, apply, full, ones, register
from chainrule.shapes import Number, Shape, same_shape

Array = np.ndarray[Any, np.dtype[np.float64]]
Kernel = Callable[..., Array]


@dataclass(frozen=True)
class Interval:
    """Where the values of a function lie."""

    low: float = -math.inf
    high: float = math.inf
    closed: bool = False  # are the finite ends reached?

    def __str__(self) -> str:
        left, right = "[]" if self.closed else "()"
        return f"{left}{self.low:g}, {self.high:g}{right}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Function:
    """A function of matrices, callable on expressions. Given numbers only, it returns itself with these parameters."""

    op: Op
    definition: Callable[..., Node] | None = None  # over other functions; a primitive has a kernel instead
    kernel: Kernel | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)  # names and defaults
    values: tuple[float, ...] = ()  # the parameters in force
    latex: str
    text: str
    code: Mapping[str, str]  # language -> template; without a word the definition is written out
    called: str = ""  # the name that C's library and most others call it by: a word in every language that has one
    operands: int = 1
    symmetric: bool = False  # f(a, b) = f(b, a)
    axis: int | None = None  # of a rowwise function: 1 along each row; 0, its twin, down each column
    whole: bool = False  # of the matrix as a whole, such as its inverse: neither by entries nor by rows
    because: tuple[str, ...] = ()  # of a whole matrix: why [i,j] of each operand gets its share, as a template
    transpose: Callable[[Node], Node | None] | None = None  # f(A)' where it is another expression; else it stays
    text_transposed: str = ""  # how f(A)' is written, where that has a way of its own: X^-T
    latex_transposed: str = ""
    boolean: str | None = None  # a template whose value is True and False, in Python cheaper as a factor
    kinks: Callable[..., tuple[float, ...]] = lambda *parameters: ()  # where the derivative jumps; `whole`: all at once
    jumps: Callable[..., tuple[float, ...]] = lambda *parameters: ()  # where the function itself jumps
    poles: Callable[..., tuple[float, ...]] = lambda *parameters: ()  # where the slope is infinite, the value is not
    knots: Callable[..., tuple[float, ...]] = lambda *parameters: ()  # where only a higher derivative jumps
    ties: Literal["", "kink", "jump"] = ""  # where two entries of a line are the largest, or two operands are equal
    check: Callable[..., bool] = lambda *parameters: (
        True
    )  # are these parameters in the domain, which its docstring states?
    range: Interval = Interval()
    facts: tuple[str, ...] = ()  # what holds of every value, as for symbols
    activation: bool = False
    aliases: tuple[str, ...] = ()  # other names that specifications know
    initializer: str = "glorot_uniform"
    partner: str = "half_squared_error"  # the loss that usually follows, when a network ends here
    summary: str = ""
    transparent: bool = False  # f(x) is x itself

    @property
    def name(self) -> str:
        """The name in specifications, printed text and Python."""
        return self.op.name

    @property
    def elementwise(self) -> bool:
        """Is it a function of every entry?"""
        return self.axis is None and not self.whole

    @property
    def twin(self) -> Function:
        """The same function along the other axis: f(A)' = f.twin(A'). An elementwise function is its own twin."""
        if self.axis is None:
            return self
        other = self.name.removesuffix(".twin") if self.axis == 0 else f"{self.name}.twin"
        return replace(FUNCTIONS[other], values=self.values)

    @overload
    def __call__(self, first: Node, *args: Node | Number, **named: Number) -> Node: ...
    @overload
    def __call__(self, *args: Node | Number, **named: Number) -> Any: ...
    def __call__(self, *args: Any, **named: Any) -> Any:
        """Apply to expressions, or, given numbers only, return the function with these parameters."""
        matrices = [a for a in args[: self.operands] if isinstance(a, Node)]
        if not matrices:
            return replace(self, values=self._bind(args, named))
        if len(args) < self.operands:
            raise TypeError(f"{self.name} takes {self.operands} matrices, got {len(args)}")
        rest = args[self.operands :]
        values = self._bind(rest, named) if rest or named else self.values
        if self.transparent:
            return matrices[0]
        lifted = [a if isinstance(a, Node) else full(a, matrices[0].shape) for a in args[: self.operands]]
        return apply(self.op, *lifted, value=values)

    def _bind(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[float, ...]:
        if any(isinstance(a, np.ndarray) for a in args):
            raise TypeError(f"{self.name} is applied to expressions, got an array: declare a matrix, then evaluate")
        names = list(self.parameters)
        given = dict(zip(names, args, strict=False)) | dict(named)
        if len(args) > len(names) or not set(given) <= set(names):
            takes = ", ".join(f"{k}={v:g}" for k, v in self.parameters.items()) or "no parameters"
            raise TypeError(f"{self.name} takes {takes}; got {', '.join(map(str, [*args, *named]))}")
        values = dict(zip(names, self.values, strict=True)) | given
        for key, value in values.items():
            if not isinstance(value, Real) or not math.isfinite(value):
                raise ValueError(f"{key} of {self.name} is a finite number, got {value!r}")
        if not self.check(*values.values()):
            raise ValueError(
                f"{self.name} needs {self.check.__doc__}, got {', '.join(f'{k}={v:g}' for k, v in values.items())}"
            )
        return tuple(float(v) + 0.0 for v in values.values())  # -0.0 becomes 0.0: the two must not make two functions

    def __reduce__(self) -> tuple[Any, ...]:
        return _find_function, (self.op, self.values)

    def __str__(self) -> str:
        """As a specification writes it: leaky_relu(0.1); parameters at their defaults are left out."""
        if self.values == tuple(self.parameters.values()):
            return self.name
        return f"{self.name}({', '.join(map(shortest, self.values))})"


FUNCTIONS: dict[str, Function] = {}


def _find_function(op: Op, values: tuple[float, ...]) -> Function:
    return replace(FUNCTIONS[op.name], values=values)


def function_of(node: Node) -> Function:
    """The record of the function that a node applies."""
    return FUNCTIONS[node.op.name]


def transposed(node: Node) -> Node | None:
    """f(A)' with the transpose inside: f(A') entry by entry, the twin of a rowwise function; None where it stays."""
    function = function_of(node)
    if function.whole:
        return function.transpose(node) if function.transpose else None
    return apply(function.twin.op, *(a.T for a in node.args), value=node.value)


def is_function(node: Node) -> bool:
    """True where a node applies a function of the rule book, not an operation of the core."""
    return node.op.name in FUNCTIONS


def expand(node: Node) -> Node:
    """The definition of a function that has one, applied to the operands of `node`."""
    definition = function_of(node).definition
    assert definition is not None, f"{node.op.name} is a primitive"
    return definition(*node.args, *node.value)


def elementwise(
    name: str,
    definition: Callable[..., Node] | None = None,
    *,
    d: Callable[..., Node] | None = None,
    numpy: str | None = None,
    **facts: Any,
) -> Function:
    """Record a function of every entry.

    Parameters
    ----------
    name : str
        In specifications, printed text and Python; a second record of a name is an error.
    definition : callable (x, *parameters) -> Node, optional
        The function as an expression; its parameters and their defaults are read from the signature.
    d : callable (x, y, *parameters) -> Node, optional
        dy/dx in terms of the input and the output. Needed without a definition; with one, a closed form that is
        shorter or more accurate.
    numpy : str, optional
        A template for NumPy source; `{0}` is the operand. Without one the definition is written out.
    **facts
        Fields of `Function`: kernel (of a primitive, on arrays), called, code (templates for other languages), latex,
        text, kinks, jumps, poles, knots, range, activation, initializer, partner, summary, aliases, parameters (of a
        primitive).

    Returns
    -------
    Function

    Examples
    --------
    >>> import chainrule as cr
    >>> cubic = cr.elementwise("cubic", lambda x: x * x * x)
    >>> x = cr.matrix("x", 1, 1)
    >>> cr.text(*cr.gradient(cubic(x), x))
    '3 x^2'
    """

    def vjp(G: Node, Y: Node, operand: int) -> Node:
        x = Y.args[0]
        if d is not None:
            return G * d(x, Y, *Y.value)
        assert definition is not None
        adjoint = import_module("chainrule.adjoint")  # for who differentiates, not for what evaluates
        share: Node = adjoint.through_definition(lambda a: definition(a, *Y.value), G, x)
        return share

    if d is None and definition is None:
        raise ValueError(f"{name} needs a definition, or a derivative d and a kernel")
    if definition is not None:
        facts["parameters"] = _defaults(definition)
    return record(_caller(), name, same_shape, vjp, numpy, definition=definition, **facts)


def rowwise(
    name: str,
    *,
    vjp: Callable[[Node, Node, int], Node],
    definition: Callable[..., Node] | None = None,
    shape: Callable[[Shape, int], Shape] = lambda shape, axis: shape,
    kernel: Kernel | None = None,
    numpy: str | None = None,
    **facts: Any,
) -> Function:
    """Record a function of every row, and its twin down every column.

    `definition(x, axis)`, `vjp(G, Y, axis)`, `shape(shape, axis)`, `kernel(array, axis)` and the templates, which may
    say `{axis}`, `{other}`, or `{dim}` where axes are counted from 1, are written once for both; axis is 1 along rows
    and 0 down columns.
    """
    home = _caller()
    templates = dict(facts.pop("code", {})) | ({"numpy": numpy} if numpy else {})

    def along(axis: int, name: str, **facts: Any) -> Function:
        words = {"{axis}": axis, "{other}": 1 - axis, "{dim}": axis + 1}
        turned = dict(templates)
        for language, word in product(templates, words):
            turned[language] = turned[language].replace(word, str(words[word]))
        return record(
            home,
            name,
            lambda a: shape(a, axis),
            lambda G, Y, operand: vjp(G, Y, axis),
            None,
            code=turned,
            definition=partial(definition, axis=axis) if definition else None,
            kernel=partial(kernel, axis=axis) if kernel else None,
            axis=axis,
            **facts,
        )

    function = along(1, name, **facts)
    along(0, f"{name}.twin", **facts | {"aliases": ()})
    return function


def _caller() -> str:
    """The module that enters a record: it is imported again where an expression is unpickled."""
    name: str = sys._getframe(2).f_globals["__name__"]
    return name


def record(
    home: str,
    name: str,
    shape: Callable[..., Shape],
    vjp: Callable[[Node, Node, int], Node],
    numpy: str | None,
    **facts: Any,
) -> Function:
    """Enter a record; `home` is the module it lives in."""
    plain = name.removesuffix(".twin")
    if not plain.isidentifier():
        raise ValueError(f"a function needs a name that is a Python identifier, got {name!r}")
    words = plain.replace("_", r"\ ")  # math mode drops a bare space
    facts = {"latex": rf"\operatorname{{{{{words}}}}}({{0}})", "text": f"{plain}({{0}})"} | facts
    parameters = facts.get("parameters", {})
    facts["code"] = dict(facts.get("code", {})) | ({"numpy": numpy} if numpy else {})
    written = "numpy" in facts["code"] or facts.get("called")
    if facts.get("definition") is None and (facts.get("kernel") is None or not written):
        raise ValueError(f"{name} is a primitive: it needs a kernel and a NumPy template")
    facts["values"] = tuple(map(float, parameters.values()))
    op = Op(name, shape, vjp, rule=facts.pop("rule", plain), home=home)
    function = Function(op=op, **facts)
    taken = OPS | {alias: f.op for f in FUNCTIONS.values() for alias in f.aliases}
    for each in (name, *function.aliases):
        if each in taken:
            raise ValueError(f"there is already an operation named {each!r}, from {taken[each].home}")
    FUNCTIONS[register(op).name] = function
    return function


def _defaults(definition: Callable[..., Node]) -> dict[str, float]:
    """The parameters of a definition after its matrix, with their defaults."""
    parameters = list(inspect.signature(definition).parameters.values())[1:]
    for p in parameters:
        if p.default is inspect.Parameter.empty:
            raise ValueError(f"parameter {p.name!r} of a definition needs a default")
    return {p.name: p.default for p in parameters}


def totals(A: Node, axis: int) -> Node:
    """Every entry replaced by the sum of its row (axis 1), A 1 1', or of its column (axis 0), 1 1' A."""
    one = ones(A.shape[axis])
    return A @ one @ one.T if axis else one @ (one.T @ A)


def spread(a: Node, like: Node, axis: int) -> Node:
    """A column a repeated along every row (axis 1), a 1', or a row down every column (axis 0), 1 a."""
    one = ones(like.shape[axis])
    return a @ one.T if axis else one @ a


def reduced(A: Node, axis: int) -> Node:
    """Row sums A 1 (axis 1), or column sums 1' A (axis 0)."""
    one = ones(A.shape[axis])
    return A @ one if axis else one.T @ A


def along(function: Function, axis: int) -> Function:
    """A rowwise function along the axis wanted."""
    return function if axis else function.twin


__all__ = ["elementwise", "rowwise"]
