"""Lowering: what the core says in matrices, said as array programs say it. One pass, for every language.

`1 r` is a row repeated by broadcasting, `1' A` and `A 1` are sums, `1' M 1` is a total; a function without a word of
its own in the language is written out; what is used twice gets a name.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

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
    is_coefficient,
    matmul_op,
    ones_op,
    rebuild,
    scale,
    scale_op,
    size,
    toposort_to_names,
    transpose_op,
)
from chainrule.functions import expand, function_of, is_function
from chainrule.rewrite import Rewriter, Rule, on
from chainrule.shapes import Shape, Size
from chainrule.stack import block_op


def _not_differentiated(G: Node, Y: Node, i: int) -> Node:
    raise AssertionError("lowered programs are not differentiated")


row_sums_op = Op("row_sums", lambda a: (a[0], 1), _not_differentiated)
column_sums_op = Op("column_sums", lambda a: (1, a[1]), _not_differentiated)
total_op = Op("total", lambda a: (1, 1), _not_differentiated)
repeat_op = Op("repeat", lambda a, like: like, _not_differentiated)  # broadcasting
DEEPEST = 50  # of one expression: Python takes 200 brackets in each other, and compiles no sum of 3,000 terms


@dataclass(frozen=True)
class Statement:
    """One assignment of a program: `target = expression`."""

    target: str
    expression: Node
    phase: str
    shape: Shape


def row_sums(a: Node) -> Node:
    """A 1, a column."""
    return apply(row_sums_op, a, value=())


def column_sums(a: Node) -> Node:
    """1' A, a row."""
    return apply(column_sums_op, a, value=())


def total(a: Node) -> Node:
    """1' A 1, a number."""
    return apply(total_op, a, value=())


def repeat(a: Node, shape: Shape) -> Node:
    """A row, a column or a number, repeated to a shape."""
    return a if a.shape == shape else apply(repeat_op, a, full(1, shape), value=())


# ---- rules


@on(ones_op)
def ones_are_filled(node: Node) -> Node | None:
    """1 is the matrix filled with 1."""
    return full(1, node.shape)


@on(transpose_op)
def transposes_of_what_repeats(node: Node) -> Node | None:
    """k' = k, (1 r)' = r' 1', A'' = A."""
    a = node.args[0]
    if a.shape == (1, 1):
        return a
    if a.op is full_op:
        return full(a.value, node.shape)
    if a.op is repeat_op:
        return repeat(a.args[0].T, node.shape)
    return a.args[0] if a.op is transpose_op else None


@on(matmul_op)
def products_with_constants(node: Node) -> Node | None:
    """J A = k 1 (1' A) and A J = k (A 1) 1', J full of k: so 1 r repeats a row, 1' A sums columns, A 1 sums rows."""
    a, b = node.args
    if _is_constant(a):
        return scale(repeat(column_sums(b), node.shape), a.value)
    if _is_constant(b):
        return scale(repeat(row_sums(a), node.shape), b.value)
    return None


@on(matmul_op)
def products_with_numbers(node: Node) -> Node | None:
    """A product with a 1 x 1 matrix multiplies every entry."""
    a, b = node.args
    if a.shape == (1, 1):
        return repeat(a, node.shape) * b
    if b.shape == (1, 1):
        return a * repeat(b, node.shape)
    return None


@on(row_sums_op, column_sums_op)
def sums_of_what_repeats(node: Node) -> Node | None:
    """The sum of one line is that line, of m equal lines m times one; a sum of sums is a total."""
    a, axis = node.args[0], 1 if node.op is row_sums_op else 0
    m = a.shape[axis]
    if m == 1:
        return a
    if _is_constant(a):
        return _times(full(a.value, node.shape), m)
    if a.op is repeat_op and a.args[0].shape[axis] == 1:
        return _times(repeat(a.args[0], node.shape), m)
    if a.op is repeat_op:
        return repeat(apply(node.op, a.args[0], value=()), node.shape)
    return total(a.args[0]) if a.op in (row_sums_op, column_sums_op) else None


@on(total_op)
def totals_of_what_repeats(node: Node) -> Node | None:
    """1' M 1 = 1' (M 1), where M repeats itself."""
    a = node.args[0]
    return column_sums(row_sums(a)) if a.op in (full_op, repeat_op) else None


@on(repeat_op)
def repeats_of_what_repeats(node: Node) -> Node | None:
    """A number repeated fills the matrix; 1 (1 r) = 1 r."""
    a = node.args[0]
    if a.op is full_op:
        return full(a.value, node.shape)
    return repeat(a.args[0], node.shape) if a.op is repeat_op else None


def repeats_come_last(node: Node) -> Node | None:
    """f(1 a, 1 b) = 1 f(a, b), entry by entry: what is repeated is computed before."""
    if not is_entrywise(node):
        return None
    args = node.args[:1] if node.op is scale_op else node.args
    shapes = {a.args[0].shape for a in args if a.op is repeat_op}
    if len(shapes) != 1 or any(a.op not in (repeat_op, full_op) for a in args):
        return None
    shape = shapes.pop()
    short = tuple(full(a.value, shape) if a.op is full_op else a.args[0] for a in args)
    return repeat(rebuild(node, (*short, *node.args[len(args) :])), node.shape)


def numbers_are_computed(node: Node) -> Node | None:
    """f(k) of numbers is a number."""
    if not is_entrywise(node) or any(a.op is not full_op for a in node.args):
        return None
    values = [np.float64(a.value) for a in node.args]
    with np.errstate(all="ignore"):
        if node.op is scale_op:
            number, exponents = node.value
            powers = [v**e for v, e in zip(values[1:], exponents, strict=True)]
            return full(float(math.prod(powers, start=values[0] * float(number))), node.shape)
        if node.op is add_op or node.op is hadamard_op:
            return full(values[0] + values[1] if node.op is add_op else values[0] * values[1], node.shape)
        kernel = function_of(node).kernel
        return full(float(kernel(*values, *node.value)), node.shape) if kernel else None


def numbers_stand_second(node: Node) -> Node | None:
    """f(k, A) = f(A, k) for a symmetric f: some languages take a number there only."""
    if not is_function(node) or not function_of(node).symmetric:
        return None
    a, b = node.args
    return apply(node.op, b, a, value=node.value) if a.op is full_op and b.op is not full_op else None


def _times(a: Node, m: Size) -> Node:
    n = size(m)
    return scale(a, n) if isinstance(n, int) else scale(a, 1, (n, 1))


def _is_constant(node: Node) -> bool:
    return node.op is full_op and math.isfinite(node.value)


def is_entrywise(node: Node) -> bool:
    """Does every entry of the result depend on one entry of each operand, or on a number?"""
    if is_function(node):
        return function_of(node).elementwise
    return node.op in (add_op, hadamard_op, scale_op)


def reads_elsewhere(s: Statement, name: str) -> bool:
    """Does an entry of the result need other entries of this matrix than its own?"""
    nodes = toposort_to_names(s.expression)
    return any(a.name == name for n in nodes if not is_atom(n) and not is_entrywise(n) for a in n.args)


def functions_are_written_out(words: Collection[str]) -> Rule:
    """A rule for a language that has these words only."""

    def function_is_written_out(node: Node) -> Node | None:
        """A function the language has no word for is written by its definition."""
        if not is_function(node) or node.op.name in words or function_of(node).definition is None:
            return None
        return expand(node)

    return function_is_written_out


RULES: tuple[Rule, ...] = (
    ones_are_filled,
    transposes_of_what_repeats,
    products_with_constants,
    products_with_numbers,
    sums_of_what_repeats,
    totals_of_what_repeats,
    repeats_of_what_repeats,
    repeats_come_last,
    numbers_are_computed,
    numbers_stand_second,
)


@on(row_sums_op, column_sums_op)
def a_sum_of_all_is_a_total(node: Node) -> Node | None:
    """1' c and r 1 are the sum of all entries."""
    return total(node.args[0]) if node.shape == (1, 1) else None


@on(matmul_op)
def a_product_with_sums_is_a_total(node: Node) -> Node | None:
    """r (M 1) = (r M) 1 and (1' M) c = 1' (M c) are the sum of all entries; so is r c = 1' (r' o c)."""
    a, b = node.args
    if node.shape != (1, 1):
        return None
    if b.op is row_sums_op:
        return total(a @ b.args[0])
    if a.op is column_sums_op:
        return total(a.args[0] @ b)
    return total(a * b.T if b.op is transpose_op else a.T * b)


NUMBERS: tuple[Rule, ...] = (a_sum_of_all_is_a_total, a_product_with_sums_is_a_total)
"""Of the loss and what leads to it: a 1 x 1 value is a number there; in a derivative it is a matrix."""


# ---- programs


def lower(equations: Iterable[Equation], words: Collection[str], *, whole: bool = False) -> tuple[Statement, ...]:
    """Equations as statements; what is used more than once is named t1, t2, ...

    `words` are the functions that the language has. Forward and loss are one part, backward and update one each, so
    that each part runs by itself on the named values of the others; with `whole` there is one part, which shares all.
    """
    rules = (functions_are_written_out(words), *RULES)
    matrices = Rewriter(rules)
    numbers = Rewriter((*rules, *NUMBERS))
    equations = list(equations)
    fresh = fresh_names([e.name for e in equations], [e.expression for e in equations])
    out: list[Statement] = []
    for part in [equations] if whole else _parts(equations):
        lowered = [(e, (numbers if e.phase in ("forward", "loss") else matrices)(e.expression)) for e in part]
        out.extend(_with_shared_names(lowered, fresh))
    return tuple(out)


def _parts(equations: Sequence[Equation]) -> list[list[Equation]]:
    groups: dict[str, list[Equation]] = {}
    for e in equations:
        groups.setdefault("forward" if e.phase == "loss" else e.phase, []).append(e)
    return list(groups.values())


def fresh_names(names: Iterable[str], expressions: Iterable[Node]) -> Iterator[str]:
    """t1, t2, ..., but for names in use: of results, of matrices and of sizes."""
    nodes = list(toposort_to_names(*expressions))
    taken = {*names} | {n.name for n in nodes} | {s for n in nodes for s in n.shape}
    return (name for i in count(1) if (name := f"t{i}") not in taken)


def _with_shared_names(lowered: list[tuple[Equation, Node]], fresh: Iterator[str]) -> list[Statement]:
    roots = [root for _, root in lowered]
    cheap = _not_worth_a_name(roots)
    uses = _uses(roots, cheap)
    renamed: dict[Node, Node] = {}
    depths: dict[Node, int] = {}
    out: list[Statement] = []
    for e, root in lowered:
        for node in toposort_to_names(root):
            if node in renamed:
                continue
            new = node if is_atom(node) else rebuild(node, tuple(renamed[a] for a in node.args))
            depths[new] = 0 if is_atom(new) else 1 + max((depths.get(a, 0) for a in new.args), default=0)
            shared = uses[node] > 1 and node not in cheap
            if node is not root and (shared or depths[new] >= DEEPEST):
                name = next(fresh)
                out.append(Statement(name, new, e.phase, node.shape))
                new = define(name, new)
            renamed[node] = new
        body = renamed[root]
        out.append(Statement(e.name, body, e.phase, e.shape))
        if root not in cheap:
            renamed[root] = define(e.name, body)  # later statements read the name
    return out


def _not_worth_a_name(roots: Sequence[Node]) -> set[Node]:
    """Names, constants, other views of a matrix, multiples of a named one, and coefficients such as 1 - beta."""
    found: set[Node] = set()
    coefficients: set[Node] = set()
    for node in toposort_to_names(*roots):
        if node.shape == (1, 1):
            known = is_coefficient(node) if is_atom(node) else coefficients.issuperset(node.args)
            coefficients |= {node} if known else set()
        view = is_atom(node) or node.op in (full_op, transpose_op, repeat_op, block_op)
        multiple = node.op is scale_op and (is_atom(node.args[0]) or node.args[0].op is full_op)
        if view or multiple or node in coefficients:
            found.add(node)
    return found


def _uses(roots: Sequence[Node], cheap: Collection[Node]) -> Counter[Node]:
    """How often each node is written, if what is cheap is written again each time."""
    uses = Counter(roots)
    for node in reversed(list(toposort_to_names(*roots))):
        if not is_atom(node):
            for a in node.args:
                uses[a] += uses[node] if node in cheap else 1
    return uses
