"""Lowering: what the core says in matrices, said as array programs say it. One pass, for every language.

`1 r` is a row repeated by broadcasting, `1' A` and `A 1` are sums, `1' M 1` is a total; a function without a word of
its own in the language is written out; what is used twice gets a name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from chainrule.derive import Equation
from chainrule.expr import (
    Node,
    Op,
    add_op,
    apply,
    define,
    full,
    full_op,
    hadamard_op,
    is_atom,
    matmul_op,
    ones_op,
    scale,
    scale_op,
    toposort_to_names,
    transpose_op,
)
from chainrule.functions import expand, function_of, is_function
from chainrule.primitives import reciprocal
from chainrule.rewrite import Rewriter, Rule, on
from chainrule.rules import is_ones_column, is_ones_row
from chainrule.shapes import Shape


def _not_differentiated(G: Node, Y: Node, i: int) -> Node:
    raise AssertionError("lowered programs are not differentiated")


row_sums_op = Op("row_sums", lambda a: (a[0], 1), _not_differentiated)
column_sums_op = Op("column_sums", lambda a: (1, a[1]), _not_differentiated)
total_op = Op("total", lambda a: (1, 1), _not_differentiated)
repeat_op = Op("repeat", lambda a: a, _not_differentiated)  # broadcasting: the shape is stated
LOWERED = (row_sums_op, column_sums_op, total_op, repeat_op)


@dataclass(frozen=True)
class Statement:
    """One assignment of a program: `target = expression`."""

    target: str
    expression: Node
    phase: str
    shape: Shape


def repeat(a: Node, shape: Shape) -> Node:
    """A row, a column or a number, repeated to a shape."""
    return a if a.shape == shape else apply(repeat_op, a, shape=shape)


# ---- rules


@on(matmul_op)
def sums_of_sums_are_totals(node: Node) -> Node | None:
    """1' M 1 is the sum of all entries."""
    a, b = node.args
    if is_ones_column(b) and a.op in (matmul_op, column_sums_op):
        if a.op is column_sums_op:
            return apply(total_op, a.args[0])
        if is_ones_row(a.args[0]):
            return apply(total_op, a.args[1])
    return None


@on(matmul_op)
def products_with_ones(node: Node) -> Node | None:
    """1 r repeats a row, c 1' a column; 1' A sums columns, A 1 sums rows."""
    a, b = node.args
    if is_ones_column(a):
        return repeat(b, node.shape)
    if is_ones_row(b):
        return repeat(a, node.shape)
    if is_ones_row(a):
        return apply(column_sums_op, b)
    if is_ones_column(b):
        return apply(row_sums_op, a)
    return None


@on(matmul_op)
def products_with_numbers(node: Node) -> Node | None:
    """A product with a 1 x 1 matrix multiplies every entry."""
    a, b = node.args
    if a.shape == (1, 1) and a.op is not full_op:
        return repeat(a, node.shape) * b
    if b.shape == (1, 1) and b.op is not full_op:
        return a * repeat(b, node.shape)
    return None


@on(ones_op, transpose_op)
def ones_fill(node: Node) -> Node | None:
    """A vector of ones by itself is a matrix filled with 1."""
    if node.op is ones_op:
        return None  # a product may still read it
    return node.args[0].args[0] if node.args[0].op is transpose_op else None


@on(hadamard_op, add_op)
def repeated_factors_meet(node: Node) -> Node | None:
    """Vectors repeated alike are combined before they are repeated."""
    a, b = node.args
    if a.op is repeat_op and b.op is repeat_op and a.args[0].shape == b.args[0].shape:
        return repeat(apply(node.op, a.args[0], b.args[0]), node.shape)
    return None


@on(repeat_op)
def quotients_are_repeated_whole(node: Node) -> Node | None:
    """1/r repeated is 1 over r repeated, so that a division is read as one."""
    a = node.args[0]
    return apply(reciprocal.op, repeat(a.args[0], node.shape), value=()) if a.op is reciprocal.op else None


def functions_are_written_out(words: Collection[str]) -> Rule:
    """A rule for a language that has these words only."""

    def function_is_written_out(node: Node) -> Node | None:
        """A function the language has no word for is written by its definition."""
        if not is_function(node) or node.op.name in words or function_of(node).definition is None:
            return None
        return expand(node)

    return function_is_written_out


RULES: tuple[Rule, ...] = (
    sums_of_sums_are_totals,
    products_with_ones,
    products_with_numbers,
    ones_fill,
    repeated_factors_meet,
    quotients_are_repeated_whole,
)


# ---- programs


def lower(equations: Iterable[Equation], words: Collection[str], *, whole: bool = False) -> tuple[Statement, ...]:
    """Equations as statements; what is used more than once is named t1, t2, ...

    `words` are the functions that the language has. Forward and loss are one part, backward and update one each, so
    that each part runs by itself on the named values of the others; with `whole` there is one part, which shares all.
    """
    rewriter = Rewriter((functions_are_written_out(words), *RULES))
    equations = list(equations)
    taken = {e.name for e in equations} | {
        str(n.name) for e in equations for n in toposort_to_names(e.expression) if is_atom(n)
    }
    fresh = (name for i in range(1, 1_000_000) if (name := f"t{i}") not in taken)
    out: list[Statement] = []
    for part in [equations] if whole else _parts(equations):
        lowered = [(e, _root(e, rewriter(e.expression))) for e in part]
        out.extend(_with_shared_names(lowered, fresh))
    return tuple(out)


def _parts(equations: Sequence[Equation]) -> list[list[Equation]]:
    groups: dict[str, list[Equation]] = {}
    for e in equations:
        groups.setdefault("forward" if e.phase == "loss" else e.phase, []).append(e)
    return list(groups.values())


def _root(e: Equation, node: Node) -> Node:
    """The loss is a number, so a last sum that leaves 1 x 1 is a total; a vector of ones stands for itself."""
    if e.phase in ("forward", "loss") and node.shape == (1, 1):
        if node.op is scale_op:
            number, exponents = node.value
            return scale(_root(e, node.args[0]), number, *zip(node.args[1:], exponents, strict=True))
        if node.op in (row_sums_op, column_sums_op):
            return apply(total_op, node.args[0])
        if node.op is add_op:
            return apply(add_op, *(_root(e, a) for a in node.args))
    if node.op is ones_op or is_ones_row(node):
        return full(1, node.shape)
    return node


def _with_shared_names(lowered: list[tuple[Equation, Node]], fresh: Iterable[str]) -> list[Statement]:
    uses = Counter(a for node in _all_nodes(lowered) for a in node.args)
    uses.update(root for _, root in lowered)
    names = iter(fresh)
    renamed: dict[Node, Node] = {}
    out: list[Statement] = []
    for e, root in lowered:
        for node in toposort_to_names(root):
            if node in renamed:
                continue
            if is_atom(node):
                renamed[node] = node
                continue
            new = _rebuilt(node, renamed)
            if node is not root and uses[node] > 1 and _is_work(node):
                name = next(names)
                out.append(Statement(name, new, e.phase, node.shape))
                new = define(name, new)
            renamed[node] = new
        body = renamed[root]
        out.append(Statement(e.name, body, e.phase, e.shape))
        if not is_atom(root) and _is_work(root):
            renamed[root] = define(e.name, body)  # later statements read the name
    return out


def _all_nodes(lowered: list[tuple[Equation, Node]]) -> list[Node]:
    seen: dict[Node, None] = {}
    for _, root in lowered:
        seen.update(dict.fromkeys(toposort_to_names(root)))
    return [n for n in seen if not is_atom(n)]


def _rebuilt(node: Node, renamed: dict[Node, Node]) -> Node:
    args = tuple(renamed[a] for a in node.args)
    if node.op is scale_op:
        number, exponents = node.value
        return scale(args[0], number, *zip(args[1:], exponents, strict=True))
    return apply(node.op, *args, shape=node.shape, value=node.value)


def _is_work(node: Node) -> bool:
    """True for what is worth computing once only."""
    cheap = (ones_op, full_op, transpose_op, repeat_op)
    return node.op not in cheap and not (node.op is scale_op and node.args[0].op in cheap)


