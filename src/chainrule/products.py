"""Products of several matrices in one form, the cheapest: columns from the right, rows from the left, u v' in between.

Also what is symmetric, because a product turned round may be the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from itertools import pairwise

from chainrule.algebra import Term, from_terms, length, sum_terms
from chainrule.expr import (
    Node,
    add_op,
    full_op,
    hadamard_op,
    is_atom,
    matmul_op,
    rebuild,
    scale_op,
    symbol_op,
    toposort_to_names,
    transpose_op,
)
from chainrule.functions import is_function
from chainrule.line_sums import is_ones_row
from chainrule.matrix_functions import by, diag, eye, inv, is_identity, kron
from chainrule.rewrite import Rule, on

MOST_FACTORS = 64  # of a product that is looked at: a longer one stays as it is


def chain(node: Node) -> list[Node]:
    """The factors of a product, however it is bracketed."""
    found: list[Node] = []
    stack = [node]
    while stack:
        part = stack.pop()
        if part.op is matmul_op and len(found) + len(stack) < MOST_FACTORS:
            stack.extend(reversed(part.args))
        else:
            found.append(part)
    return found


def product(factors: Sequence[Node]) -> Node:
    """Factors as a product in its one form."""
    cuts = [0, *(i for i, f in enumerate(factors) if i and f.shape[0] == 1), len(factors)]
    parts = [factors[i:j] for i, j in pairwise(cuts)]
    matrices = [p for p in parts if (p[0].shape[0], p[-1].shape[1]) != (1, 1)]
    numbers = [_number(p) for p in parts if (p[0].shape[0], p[-1].shape[1]) == (1, 1)]
    if not matrices:
        first, *numbers = numbers
        whole = first
    else:
        whole = reduce(lambda a, b: a @ b, map(_in_order, matrices))
    return reduce(by, numbers, whole)


def _in_order(factors: Sequence[Node]) -> Node:
    """A column from the right, anything else from the left; rows of ones sum up at once."""
    if factors[-1].shape[1] == 1 and factors[0].shape[0] != 1:
        return reduce(lambda right, a: a @ right, reversed(factors))
    return reduce(lambda left, b: left @ b, factors)


def _number(factors: Sequence[Node]) -> Node:
    """A 1 x 1 product, or its transpose: the one with fewer transposes, but for rows of ones, or else earlier names."""
    turned = [transpose(f) for f in reversed(factors)]
    return min((_in_order(each) for each in (factors, turned)), key=lambda node: (_transposes(node), repr(node)))


def _transposes(node: Node) -> int:
    turned = [f.args[0] for f in chain(node) if f.op is transpose_op and not is_ones_row(f)]
    return len(turned) + sum(not is_atom(f) for f in turned)  # of a whole expression: its parts are turned


def transpose(node: Node) -> Node:
    """A', which is A where A is symmetric."""
    return node if is_symmetric(node) else node.T


@on(matmul_op)
def products_have_one_form(node: Node) -> Node | None:
    """A (B C) = (A B) C: columns from the right, rows from the left, and a'x = x'a."""
    factors = chain(node)
    return product(factors) if len(factors) < MOST_FACTORS else None


@on(matmul_op)
def inverses_cancel(node: Node) -> Node | None:
    """A^-1 A = A A^-1 = I, also within a product, for A that is a product itself, and transposed."""
    factors = chain(node)
    for i, f in enumerate(factors):
        if (inverted := _inverted(f)) is None:
            continue
        taken = chain(inverted)
        count = len(taken)
        for start in (i + 1, i - count):
            if start >= 0 and factors[start : start + count] == taken:
                first, last = min(i, start), max(i + 1, start + count)
                rest = [*factors[:first], *factors[last:]]
                return product(rest) if rest else eye(node.shape[0])
    return None


def _inverted(f: Node) -> Node | None:
    """The A of A^-1 or A^-T, as the product that would cancel it."""
    if f.op is inv.op:
        return f.args[0]
    if f.op is transpose_op and f.args[0].op is inv.op:
        return product(
            [transpose(a) if a.op is not transpose_op else a.args[0] for a in reversed(chain(f.args[0].args[0]))]
        )
    return None


@on(matmul_op)
def identity_is_neutral(node: Node) -> Node | None:
    """I A = A I = A."""
    a, b = node.args
    return b if is_identity(a) else a if is_identity(b) else None


@on(add_op)
def common_factors_leave_sums(node: Node) -> Node | None:
    """A C + B C = (A + B) C and C A + C B = C (A + B), where that is shorter."""
    terms = sum_terms(node)
    if not 1 < len(terms) <= MOST_FACTORS:
        return None
    alone = len(terms) == 2
    for i, first in enumerate(terms):
        for j, second in enumerate(terms[:i]):
            if first.scalars == second.scalars and (joined := _joined(second, first, node, alone)) is not None:
                rest = [t for k, t in enumerate(terms) if k not in (i, j)]
                whole = from_terms([joined, *rest], node.shape)
                if length(whole) < length(node):
                    return whole
    return None


def _joined(a: Term, b: Term, node: Node, alone: bool) -> Term | None:
    """Two terms with a factor in common at their end or at their start, as one."""
    if not a.factors or not b.factors:
        return None
    left, right = (chain(next(iter(t.factors))) for t in (a, b))
    for ending in (True, False):
        one, other = (left[::-1], right[::-1]) if ending else (left, right)
        most = min(len(one), len(other)) - 1  # a factor stays: no A C + C = (A + I) C
        count = next((k for k in range(most) if one[k] is not other[k]), most)
        rests = [f[: len(f) - count] if ending else f[count:] for f in (left, right)]
        is_dear = node.shape[1 if ending else 0] == 1  # a product of matrices, which A (B x) avoids
        if count < 1 or (max(map(len, rests)) > 1 and (is_dear or not alone)):
            continue
        shared = left[len(left) - count :] if ending else left[:count]
        sums = [Term(t.number, {}, {product(rest): 1}) for t, rest in zip((a, b), rests, strict=True)]
        sums.sort(key=lambda t: next(iter(t.factors)).op is transpose_op)
        total = from_terms(sums, (rests[0][0].shape[0], rests[0][-1].shape[1]))
        return Term(Fraction(1), a.scalars, {product([total, *shared] if ending else [*shared, total]): 1})
    return None


def transposes_leave_sums(root: Node) -> Node:
    """A (B' - C') = A (B - C)', where transposes become fewer: last, because they go inward before."""
    new: dict[Node, Node] = {}
    order = list(toposort_to_names(root))
    # Terms of a sum are looked at with it, and what a function takes would keep its transpose within.
    terms = [a for node in order if node.op is add_op or is_function(node) for a in node.args]
    outside = {root, *terms, *(root.args[:1] if root.op is scale_op else ())}
    for node in order:
        same = node if is_atom(node) else rebuild(node, tuple(new[a] for a in node.args))
        new[node] = _turned_sum(same) if same.op is add_op and node not in outside else same
    return new[root]


def _turned_sum(node: Node) -> Node:
    terms = sum_terms(node)
    parts = [next(iter(t.factors)) for t in terms if t.factors]
    if len(parts) != len(terms) or any(p.op not in (matmul_op, transpose_op) and not is_symmetric(p) for p in parts):
        return node
    turned = [product([transpose(f) for f in reversed(chain(p))]) for p in parts]
    if sum(map(_transposes, turned)) + 1 >= sum(map(_transposes, parts)):
        return node
    rows, columns = node.shape
    return from_terms(
        [Term(t.number, t.scalars, {p: 1}) for t, p in zip(terms, turned, strict=True)], (columns, rows)
    ).T


# ---- what is symmetric


def is_symmetric(node: Node) -> bool:
    """Is A' = A, by declared facts and by how A is made?"""
    stack = [node]
    for _ in range(MOST_FACTORS):
        if not stack:
            return True
        part = stack.pop()
        if part.shape == (1, 1) or part.op is diag.op or (part.op is symbol_op and "symmetric" in part.value.facts):
            continue
        if part.op in (inv.op, transpose_op) or part.op is scale_op:
            stack.append(part.args[0])
        elif (part.op is full_op and part.shape[0] == part.shape[1]) or (
            part.op is add_op and _is_transpose(*part.args)
        ):
            continue
        elif part.op is add_op or part.op is hadamard_op or part.op is kron.op:
            stack.extend(part.args)
        elif part.op is matmul_op:
            factors = chain(part)
            half, middle = divmod(len(factors), 2)
            if not all(_is_transpose(factors[i], factors[-1 - i]) for i in range(half)):
                return False
            stack.extend(factors[half : half + 1] if middle else [])
        else:
            return False
    return False


def _is_transpose(a: Node, b: Node) -> bool:
    return b.T is a or a.T is b or (a is b and a.op is symbol_op and "symmetric" in a.value.facts)


PRODUCTS: tuple[Rule, ...] = (identity_is_neutral, inverses_cancel, products_have_one_form)
