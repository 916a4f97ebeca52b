"""Identities of functions of whole matrices, for the derivatives of any expression; the docstring is the identity.

`ANY` is all rules together. Networks need none of these here: their equations have the normal form of rules.py.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from chainrule.algebra import Term, collected, constant, from_terms, is_long, length, sum_terms
from chainrule.coefficients import (
    a_lone_coefficient_is_a_number,
    coefficients_are_opened,
    coefficients_before,
    coefficients_leave_products,
    powers_of_numbers_are_coefficients,
    reciprocals_cancel,
    scalars_leave_products,
)
from chainrule.diagonals import DIAGONALS
from chainrule.expr import (
    Node,
    add_op,
    full,
    hadamard_op,
    matmul_op,
    ones,
    rebuild,
    scale,
    scale_op,
    transpose_op,
    walk,
)
from chainrule.kronecker import KRONECKER
from chainrule.line_sums import is_ones_column, is_ones_row
from chainrule.matrix_functions import (
    block_products,
    combined_blocks,
    det,
    diag,
    diagonal,
    inv,
    is_identity,
    kron,
    logdet,
    norm,
    trace,
    unvec,
    vec,
)
from chainrule.nonnegative import is_square
from chainrule.primitives import logistic, maximum, minimum, power, reciprocal
from chainrule.products import (
    PRODUCTS,
    chain,
    common_factors_leave_sums,
    is_symmetric,
    product,
    transposes_leave_sums,
)
from chainrule.rewrite import Rewriter, Rule, on
from chainrule.rules import algebra_with
from chainrule.substitute import replaced
from chainrule.transposes import transposes_go_to_functions

MOST_ENTRIES = 64  # nodes of a sum of products that are looked at
LINEAR = (trace, diag, diagonal, vec, unvec, kron, block_products, combined_blocks)


# ---- numbers


@on(*(f.op for f in LINEAR))
def numbers_leave_linear_functions(node: Node) -> Node | None:
    """f(kA) = k f(A) for the trace, diagonals, vec and Kronecker products."""
    for i, a in enumerate(_operands(node)):
        if a.op is scale_op:
            bare = tuple(a.args[0] if j == i else b for j, b in enumerate(node.args))
            return scale(rebuild(node, bare), a.value[0], *zip(a.args[1:], a.value[1], strict=True))
    return None


@on(*(f.op for f in LINEAR))
def linear_functions_of_zero(node: Node) -> Node | None:
    """f(0) = 0 for the trace, diagonals, vec and Kronecker products."""
    return full(0, node.shape) if any(constant(a) == 0 for a in _operands(node)) else None


def _operands(node: Node) -> tuple[Node, ...]:
    """Those that a function is linear in: of unvec the second gives the shape alone."""
    return node.args[:1] if node.op is unvec.op else node.args


@on(inv.op)
def numbers_leave_inverses(node: Node) -> Node | None:
    """(kA)^-1 = A^-1/k."""
    a = node.args[0]
    if a.op is not scale_op:
        return None
    return scale(inv(a.args[0]), 1 / a.value[0], *((s, -e) for s, e in zip(a.args[1:], a.value[1], strict=True)))


# ---- transposes, symmetric matrices, inverses


@on(transpose_op)
def symmetric_matrices_are_their_transposes(node: Node) -> Node | None:
    """A' = A for a symmetric A, such as one declared so, a diagonal matrix, B'B, and their inverses."""
    return node.args[0] if is_symmetric(node.args[0]) else None


@on(inv.op)
def inverses_of_inverses(node: Node) -> Node | None:
    """(A^-1)^-1 = A and (A')^-1 = (A^-1)'."""
    a = node.args[0]
    return a.args[0] if a.op is inv.op else inv(a.args[0]).T if a.op is transpose_op else None


@on(inv.op)
def inverses_of_products(node: Node) -> Node | None:
    """(A B)^-1 = B^-1 A^-1 for square A and B."""
    factors = chain(node.args[0])
    if len(factors) == 1 or any(f.shape != node.shape for f in factors):
        return None
    return product([inv(f) for f in reversed(factors)])


@on(inv.op)
def inverses_of_diagonals(node: Node) -> Node | None:
    """Diag(a)^-1 = Diag(1/a), I^-1 = I, (A ⊗ B)^-1 = A^-1 ⊗ B^-1 for square A and B."""
    a = node.args[0]
    if a.op is diag.op:
        return a if is_identity(a) else diag(reciprocal(a.args[0]))
    if a.op is kron.op and all(x.shape[0] == x.shape[1] for x in a.args):
        return kron(*map(inv, a.args))
    return None


@on(trace.op, det.op, logdet.op, diagonal.op)
def transposes_leave_what_does_not_see_them(node: Node) -> Node | None:
    """f(A') = f(A) for the trace, the determinant and the diagonal; so f(A'B') = f(B A), f(A' + B') = f(A + B)."""
    a = node.args[0]
    terms = sum_terms(a) if a.op is add_op and not is_long(a) else []
    if terms and all(t.factors and all(f.op is transpose_op for f in t.factors) for t in terms):
        turned = [Term(t.number, t.scalars, {f.args[0]: 1 for f in t.factors}) for t in terms]
        return rebuild(node, (from_terms(turned, a.shape),))
    factors = chain(a)
    if all(f.op is transpose_op for f in factors):
        return rebuild(node, (product([f.args[0] for f in reversed(factors)]),))
    return None


@on(norm.op)
def norms_of_transposes(node: Node) -> Node | None:
    """‖A'‖ = ‖A‖ = ‖-A‖."""
    a = node.args[0]
    if a.op is transpose_op or (a.op is scale_op and a.value == (-1, ())):
        return norm(a.args[0])
    return None


@on(maximum.op, minimum.op)
def equals_leave_no_choice(node: Node) -> Node | None:
    """max(A, A) = min(A, A) = A, also where the other is A' and A is symmetric."""
    a, b = node.args
    return a if a is b or ((a.T is b or b.T is a) and is_symmetric(a)) else None


@on(add_op)
def complements_of_logistics(node: Node) -> Node | None:
    """logistic(-z) = 1 - logistic(z), where a sum has both and is halved: else it would only lose digits."""
    if is_long(node):
        return None
    found = {n: None for n in islice(walk([node], _entries_of), MOST_ENTRIES) if n.op is logistic.op}
    for s in found:
        if (z := s.args[0]).op is scale_op and z.value[0] < 0 and (other := logistic(-z)) in found:
            shorter = min(collected(replaced(node, {s: 1 - other})), key=length, default=node)
            return shorter if 2 * length(shorter) <= length(node) else None
    return None


def _entries_of(node: Node) -> tuple[Node, ...]:
    return node.args if node.op in (add_op, hadamard_op) else node.args[:1] if node.op is scale_op else ()


@on(matmul_op)
def sums_of_products_are_products(node: Node) -> Node | None:
    """1' (a ∘ b) = a'b for columns, (a ∘ b) 1 = a b' for rows, 1' (A ∘ B') 1 = tr(B A), 1' diag(A) = tr(A)."""
    a, b = node.args
    if node.shape != (1, 1):
        return None
    if is_ones_row(a):
        if b.op is diagonal.op:
            return trace(b.args[0])
        return b.args[0].T @ b.args[1] if _is_plain_product(b) else None
    if not is_ones_column(b):
        return None
    if a.op is matmul_op and is_ones_row(a.args[0]) and a.args[1].op is hadamard_op:
        for A, B in (a.args[1].args, a.args[1].args[::-1]):
            if B.op is transpose_op:
                return trace(B.args[0] @ A)
    return a.args[0] @ a.args[1].T if _is_plain_product(a) else None


def _is_plain_product(node: Node) -> bool:
    """a ∘ b of two factors, neither of them a sum, which would be transposed term by term."""
    return node.op is hadamard_op and not any(x.op in (add_op, hadamard_op) or constant(x) for x in node.args)


@on(hadamard_op)
def powers_are_added(node: Node) -> Node | None:
    """A.^j o A.^k = A.^(j + k) for positive powers, where one of them is written as a power."""
    if not any(f.op is power.op for f in node.args):
        return None
    for b, a in (node.args, node.args[::-1]):
        *others, last = a.args if a.op is hadamard_op else (a,)
        for f, g in ((last, b), (b, last)):
            (base, k), (other, j) = _base(f), _base(g)
            if f.op is power.op and base is other and j > 0 and k > 0:
                joined = power(base, j + k)
                return others[0] * joined if others else joined
    return None


def _base(node: Node) -> tuple[Node, float]:
    return (node.args[0], node.value[0]) if node.op is power.op else (node, 1.0)


@on(scale_op)
def squares_of_norms(node: Node) -> Node | None:
    """‖A‖^2 = 1' (A ∘ A) 1, above a fraction, and so for other even powers."""
    powers = list(zip(node.args[1:], node.value[1], strict=True))
    for s, e in powers:
        if s.op is norm.op and e >= 2 and e % 2 == 0:
            A = s.args[0]
            square = ones(A.shape[0]).T @ (A * A) @ ones(A.shape[1])
            return scale(node.args[0], node.value[0], *powers, (s, -e), (square, e // 2))
    return None


@on(scale_op)
def squares_cancel_norms(node: Node) -> Node | None:
    """‖A‖^2 = a'a, tr(A'A) or 1' (A ∘ A) 1: (a'a)/‖a‖ = ‖a‖ and ‖a‖/(a'a) = 1/‖a‖, a not being 0."""
    powers = dict(zip(node.args[1:], node.value[1], strict=True))
    if node.args[0].op is norm.op and node.args[0] not in powers:
        a = node.args[0]
        below = next((c for c, k in powers.items() if k < 0 and _is_square_of(a.args[0], c)), None)
        return below and scale(full(1, node.shape), node.value[0], *powers.items(), (below, 1), (a, -1))
    for s, e in [(s, e) for s, e in powers.items() if s.op is norm.op]:
        if e < 0 and _is_square_of(s.args[0], node.args[0]):
            return scale(full(1, node.shape), node.value[0], *powers.items(), (s, 2))
        for square, k in powers.items():
            if k * e < 0 and _is_square_of(s.args[0], square):
                one = 1 if k > 0 else -1
                return scale(node.args[0], node.value[0], *powers.items(), (square, -one), (s, 2 * one))
    return None


def _is_square_of(A: Node, node: Node) -> bool:
    """Is it the square of ‖A‖, however its factors are bracketed?"""
    if node.shape != (1, 1) or node.op not in (matmul_op, trace.op):
        return False
    factors = chain(node.args[0] if node.op is trace.op else node)
    half = len(factors) // 2
    if is_square(factors) and chain(A) in (factors[:half], factors[half:]):
        return True
    inside = [f for f in factors if not (is_ones_row(f) or is_ones_column(f))]
    return node.op is matmul_op and len(inside) == 1 and inside[0] in (A * A, A.T * A.T)


IDENTITIES: tuple[Rule, ...] = (
    symmetric_matrices_are_their_transposes,
    reciprocals_cancel,
    coefficients_are_opened,
    a_lone_coefficient_is_a_number,
    scalars_leave_products,
    numbers_leave_linear_functions,
    linear_functions_of_zero,
    numbers_leave_inverses,
    inverses_of_inverses,
    inverses_of_products,
    inverses_of_diagonals,
    transposes_leave_what_does_not_see_them,
    norms_of_transposes,
    equals_leave_no_choice,
    *DIAGONALS,
    complements_of_logistics,
    sums_of_products_are_products,
    coefficients_leave_products,
    powers_of_numbers_are_coefficients,
    powers_are_added,
    squares_cancel_norms,
    squares_of_norms,
    *KRONECKER,
)
ANY: tuple[Rule, ...] = (
    *IDENTITIES,
    *PRODUCTS,
    *algebra_with(transposes_go_to_functions),
    common_factors_leave_sums,
)


def coefficients_come_first(root: Node) -> Node:
    """A ∘ (s + t) = (s + t) A, where coefficients alone are added: last, for no like terms are found in them."""
    return Rewriter((on(hadamard_op)(coefficients_before),))(root)


LAST: tuple[Callable[[Node], Node], ...] = (transposes_leave_sums, coefficients_come_first)
"""On a whole derivative, after every rule."""
