"""Matrix expressions: the language every other module is written in.

Every value is a matrix. A node is immutable and interned, so equal expressions are one object: ``==`` is ``is``,
and caches are plain dicts. Here is the closed core of operations; functions.py adds the rule book.
"""

from __future__ import annotations

import importlib
import keyword
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args
from weakref import WeakValueDictionary

from chainrule.errors import ShapeError, UnknownNameError, nearest
from chainrule.python_form import as_python, operands_in_words
from chainrule.shapes import Number, Shape, Size, check_size, factors, product_shape, real, same_shape, show
from chainrule.shapes import fraction as fraction

Role = Literal["data", "target", "weight", "parameter", "state", "hyper", "random", "size"]
ROLES: tuple[str, ...] = get_args(Role)
FACTS = ("rows_sum_to_one", "columns_sum_to_one", "one_hot", "nonnegative", "unit", "signs", "symmetric")
TURNED = {"rows_sum_to_one": "columns_sum_to_one", "columns_sum_to_one": "rows_sum_to_one"}  # facts of the transpose


@dataclass(frozen=True, eq=False, slots=True)
class Op:
    """One operation: its shape rule and its vector-Jacobian product, an expression like any other."""

    name: str
    shape: Callable[..., Shape]  # shapes of the operands -> shape of the result
    vjp: Callable[[Node, Node, int], Node]  # (G = dL/dY, Y, i) -> the part of dL/d(operand i)
    rule: str = ""  # what a derivation calls this vjp
    home: str = "chainrule.expr"  # the module that makes it: a pickled node imports it again
    sized: bool = False  # does the shape depend on the value, too?

    def __reduce__(self) -> tuple[Any, ...]:
        return _find_op, (self.name, self.home)

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


@dataclass(frozen=True, slots=True)
class Symbol:
    """What is declared about a named input: its role decides who supplies it, its facts are used by rules."""

    name: str
    role: Role = "data"
    facts: tuple[str, ...] = ()
    distribution: tuple[str, float] | None = None  # of a random symbol, e.g. ("inverted_bernoulli", 0.9)


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Node:
    """An operation applied to operands. Made by `apply` only."""

    op: Op
    args: tuple[Node, ...]
    shape: Shape
    value: Any = None  # a Symbol, a name, a number, a coefficient, or the parameters of a function
    __array_ufunc__ = None  # an array leaves `array + node` to the node, which refuses it

    @property
    def name(self) -> str | None:
        """The name of a symbol or of a defined expression; None for anything else."""
        if self.op is symbol_op:
            name: str = self.value.name
            return name
        return self.value if self.op is define_op else None

    @property
    def T(self) -> Node:
        """The transpose."""
        return self.args[0] if self.op is transpose_op else apply(transpose_op, self)

    def __add__(self, other: Node | Number) -> Node:
        return apply(add_op, *_like_shapes(self, other))

    def __radd__(self, other: Number) -> Node:
        return full(other, self.shape) + self

    def __sub__(self, other: Node | Number) -> Node:
        a, b = _like_shapes(self, other)
        return a + scale(b, -1)

    def __rsub__(self, other: Number) -> Node:
        return full(other, self.shape) - self

    def __neg__(self) -> Node:
        return scale(self, -1)

    def __mul__(self, other: Node | Number) -> Node:
        if not isinstance(other, Node):
            return scale(self, other)
        if self.shape != other.shape or self.shape == (1, 1):
            for scalar, matrix in ((self, other), (other, self)):
                if is_coefficient(scalar):
                    return scale(matrix, 1, (scalar, 1))
        return apply(hadamard_op, *_like_shapes(self, other))

    def __rmul__(self, other: Number) -> Node:
        return scale(self, other)

    def __truediv__(self, other: Number | Node) -> Node:
        if isinstance(other, Node):
            if not is_coefficient(other):
                raise TypeError("a matrix divides entry by entry through reciprocal(): write A * reciprocal(B)")
            return scale(self, 1, (other, -1))
        return scale(self, 1 / fraction(other))

    def __matmul__(self, other: Node) -> Node:
        if not isinstance(other, Node):
            raise TypeError(f"a product is of two expressions, got {type(other).__name__}: declare a matrix")
        return apply(matmul_op, self, other)

    def __repr__(self) -> str:
        """Python that makes this node again; a short form where that would be very long."""
        return as_python(self, toposort(self))

    def __reduce__(self) -> tuple[Any, ...]:
        """A flat list, operands first: a deep network must not exhaust the pickler's stack."""
        order = list(toposort(self))
        index = {node: i for i, node in enumerate(order)}
        return _restore, ([(n.op, [index[a] for a in n.args], n.shape, n.value) for n in order],)

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: object) -> Node:
        return self


_interned: WeakValueDictionary[tuple[object, ...], Node] = WeakValueDictionary()
_interning = threading.Lock()


def apply(op: Op, *args: Node, shape: Shape | None = None, value: Any = None) -> Node:
    """Make a node. The one place where shapes are checked and equal nodes become one."""
    if shape is None:
        try:
            shape = op.shape(*(a.shape for a in args), *(value if op.sized else ()))
        except ShapeError as error:
            raise ShapeError(f"{error}{operands_in_words(op.name, args)}") from None
    key = (op, args, shape, value.hex() if isinstance(value, float) else value)  # bits tell -0.0 from 0.0, NaN is NaN
    with _interning:
        node = _interned.get(key)
        if node is None:
            node = _interned[key] = Node(op, args, shape, value)
    return node


def rebuild(node: Node, args: tuple[Node, ...]) -> Node:
    """The same operation on other operands."""
    if args == node.args:
        return node
    if node.op is scale_op:
        return scale(args[0], node.value[0], *zip(args[1:], node.value[1], strict=True))
    return apply(node.op, *args, value=node.value)


def toposort(*roots: Node) -> Iterator[Node]:
    """Yield operands before their users."""
    return walk(roots, lambda node: node.args)


def toposort_to_names(*roots: Node) -> Iterator[Node]:
    """As `toposort`, but a defined name is a leaf: an equation refers to the others by name."""
    return walk(roots, lambda node: () if node.op is define_op else node.args)


def walk(roots: Iterable[Node], operands: Callable[[Node], tuple[Node, ...]]) -> Iterator[Node]:
    """Depth first, each node once and after what `operands` says it needs; a loop, not a recursion."""
    seen, opened = set[Node](), set[Node]()
    stack = list(roots)[::-1]
    while stack:
        node = stack[-1]
        if node not in seen and node not in opened:
            opened.add(node)
            if todo := [a for a in operands(node) if a not in seen]:
                stack += todo[::-1]
                continue
        stack.pop()
        if node not in seen:
            seen.add(node)
            yield node


# ---- making expressions


def matrix(
    name: str,
    rows: Size,
    columns: Size,
    *,
    role: Role = "data",
    facts: Iterable[str] = (),
    distribution: tuple[str, float] | None = None,
) -> Node:
    """Declare a named matrix.

    Parameters
    ----------
    name : str
        A Python identifier, such as "W1".
    rows, columns : int or str
        A name such as "n" stands for a size that the data decide.
    role : {"data", "target", "weight", "parameter", "state", "hyper", "random", "size"}
        Who supplies the values.
    facts : iterable of str
        What rules may rely on, checked once a fit: "rows_sum_to_one", "columns_sum_to_one", "one_hot" (by rows, unless
        the columns sum to one), "nonnegative", "unit" (0 to 1), "signs" (-1 or 1), "symmetric".
    distribution : tuple of str and float, optional
        Of a random matrix, such as a dropout mask.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, W = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k")
    >>> (X @ W).shape
    ('n', 'k')
    """
    known = {facts} if isinstance(facts, str) else set(facts)
    for kind, word, words in (("role", role, ROLES), *(("fact", fact, FACTS) for fact in sorted(known))):
        if word not in words:
            raise UnknownNameError(f"unknown {kind} {word!r} of {name}{nearest(word, words)}")
    if "one_hot" in known:
        known |= {"nonnegative"} | (known & TURNED.keys() or {"rows_sum_to_one"})
    declared = Symbol(_identifier(name, "a matrix"), role, tuple(sorted(known)), distribution)
    return apply(symbol_op, shape=(check_size(rows), check_size(columns)), value=declared)


def scalar(name: str, *, role: Role = "hyper") -> Node:
    """Declare a named number (1 x 1), such as a learning rate: it multiplies a matrix as a coefficient."""
    return matrix(name, 1, 1, role=role)


def turned(symbol: Node) -> Node:
    """The symbol of the transposed matrix, under the same name."""
    facts = tuple(sorted(TURNED.get(f, f) for f in symbol.value.facts))
    return apply(symbol_op, shape=symbol.shape[::-1], value=replace(symbol.value, facts=facts))


def size(name: Size) -> Node | int:
    """A size as a number in equations: the n of 1/n."""
    number, names = factors(name)
    counts = [(matrix(each, 1, 1, role="size"), 1) for each in names]
    return number if not counts else counts[0][0] if names == (name,) else scale(full(1, (1, 1)), number, *counts)


def define(name: str, expression: Node) -> Node:
    """Give an expression a name: an identity operation that rules and walks treat as an atom.

    Examples
    --------
    >>> import chainrule as cr
    >>> Z = cr.define("Z", cr.matrix("X", "n", "d") @ cr.matrix("W", "d", "k"))
    >>> cr.text(Z), cr.text(cr.tanh(Z))
    ('Z = X W', 'tanh(Z)')
    """
    return apply(define_op, expression, value=_identifier(name, "an expression"))


def _identifier(name: str, what: str) -> str:
    if not str(name).isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{what} needs a name that is a Python identifier, got {name!r}")
    return name


def full(value: Number, shape: Shape) -> Node:
    """The matrix filled with one number."""
    return apply(full_op, shape=(check_size(shape[0]), check_size(shape[1])), value=float(real(value)))


def ones(rows: Size) -> Node:
    """The column of ones, written 1: `ones(n) @ b` adds a row b to every row."""
    return apply(ones_op, shape=(check_size(rows), 1))


def sum(expression: Node) -> Node:  # the public name is cr.sum
    """Add all entries: 1' M 1, a 1 x 1 matrix."""
    return ones(expression.shape[0]).T @ expression @ ones(expression.shape[1])


def scale(expression: Node, number: Number | str = 1, *powers: tuple[Node, int]) -> Node:
    """A coefficient times a matrix; the coefficient is a rational times powers of 1 x 1 expressions.

    Coefficients of coefficients combine here, so that numbers stand in one place, in front.
    """
    k = fraction(number)
    exponents: dict[Node, int] = {}
    if expression.op is scale_op:
        inner, inner_exponents = expression.value
        k *= inner
        exponents.update(zip(expression.args[1:], inner_exponents, strict=True))
        expression = expression.args[0]
    for base, exponent in powers:
        if base.shape != (1, 1):
            raise ShapeError(f"a coefficient is made of 1 x 1 matrices, got {show(base.shape)}")
        inner, inside = base.value if base.op is scale_op else (fraction(1), ())
        k *= inner**exponent
        for s, e in zip(base.args if base.op is scale_op else (base,), (1, *inside), strict=True):
            if s.op is full_op and math.isfinite(s.value) and (s.value or e * exponent > 0):
                k *= fraction(s.value) ** (e * exponent)
            else:
                exponents[s] = exponents.get(s, 0) + e * exponent
    exponents = {base: e for base, e in exponents.items() if e}
    constant = expression.value if expression.op is full_op else math.nan
    if not k or not constant:
        return full(0, expression.shape)
    if math.isfinite(constant) and not exponents:
        k, expression = k * fraction(constant), full(1, expression.shape)
        return full(k, expression.shape) if fraction(float(k)) == k else apply(scale_op, expression, value=(k, ()))
    if k == 1 and not exponents:
        return expression
    bases = sorted(exponents, key=lambda base: base.name or repr(base))
    return apply(scale_op, expression, *bases, value=(k, tuple(exponents[b] for b in bases)), shape=expression.shape)


def is_coefficient(node: Node) -> bool:
    """True for a 1 x 1 expression of declared scalars only: it may stand in front of a matrix."""
    if node.shape != (1, 1):
        return False
    leaves = [n for n in toposort(node) if n.op is symbol_op]
    return bool(leaves) and all(n.value.role in ("hyper", "size", "state") for n in leaves)


def is_atom(node: Node) -> bool:
    """True for what has a name of its own."""
    return node.op is symbol_op or node.op is define_op


def _like_shapes(a: Node, b: Node | Number) -> tuple[Node, Node]:
    """Both operands in one shape: a number, or a 1 x 1 matrix s as 1 s 1', fills the other's."""
    if not isinstance(b, Node):
        return a, full(b, a.shape)
    if a.shape != b.shape == (1, 1):
        return a, _filled(b, a.shape)
    return (_filled(a, b.shape), b) if b.shape != a.shape == (1, 1) else (a, b)


def _filled(s: Node, shape: Shape) -> Node:
    return scale(full(1, shape), 1, (s, 1)) if is_coefficient(s) else ones(shape[0]) @ s @ ones(shape[1]).T


# ---- the closed core and its derivatives


def _no_vjp(G: Node, Y: Node, i: int) -> Node:
    raise AssertionError("a leaf has no operands")


def _scale_vjp(G: Node, Y: Node, i: int) -> Node:
    """d(cA) = c dA; for a scalar s with exponent e in c, dL/ds = (e c/s) 1' (G o A) 1."""
    number, exponents = Y.value
    powers = list(zip(Y.args[1:], exponents, strict=True))
    if i == 0:
        return scale(G, number, *powers)
    return scale(sum(G * Y.args[0]), number * exponents[i - 1], *powers, (Y.args[i], -1))


symbol_op = Op("symbol", same_shape, _no_vjp)
full_op = Op("full", same_shape, _no_vjp)
ones_op = Op("ones", same_shape, _no_vjp)
define_op = Op("define", lambda a: a, lambda G, Y, i: G)
add_op = Op("add", same_shape, lambda G, Y, i: G)
scale_op = Op("scale", lambda a, *scalars: a, _scale_vjp)
hadamard_op = Op("hadamard", same_shape, lambda G, Y, i: G * Y.args[1 - i], "Hadamard product")
matmul_op = Op("matmul", product_shape, lambda G, Y, i: Y.args[0].T @ G if i else G @ Y.args[1].T, "product")
transpose_op = Op("transpose", lambda a: (a[1], a[0]), lambda G, Y, i: G.T, "transpose")

CORE = (symbol_op, full_op, ones_op, define_op, add_op, scale_op, hadamard_op, matmul_op, transpose_op)
OPS: dict[str, Op] = {op.name: op for op in CORE}


def register(op: Op) -> Op:
    """Enter an operation under its name; a second one of the same name is an error."""
    if op.name in OPS:
        raise ValueError(f"there is already an operation named {op.name!r}, from {OPS[op.name].home}")
    OPS[op.name] = op
    return op


def _find_op(name: str, home: str) -> Op:
    if name not in OPS:
        importlib.import_module(home)
    if name not in OPS:
        raise UnknownNameError(f"{home} has no operation {name!r}: the module that records it must be imported first")
    return OPS[name]


def _restore(records: list[tuple[Op, list[int], Shape, Any]]) -> Node:
    nodes: list[Node] = []
    for op, args, shape, value in records:
        nodes.append(apply(op, *(nodes[i] for i in args), shape=shape, value=value))
    return nodes[-1]
