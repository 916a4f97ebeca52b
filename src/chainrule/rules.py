"""The identities of a derivation: rules `Node -> Node | None`; the docstring is the identity.

STABLE rules turn the forward equations into forms that are finite at any score, before anything is differentiated;
ALGEBRA rules simplify. Rules that need the derivation's names are made for it (`names_are_used`).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from chainrule.algebra import Term, collected, constant, from_terms, is_long, length, sum_terms
from chainrule.expr import (
    Node,
    add_op,
    define_op,
    full,
    full_op,
    hadamard_op,
    matmul_op,
    ones,
    ones_op,
    rebuild,
    scale,
    scale_op,
    size,
    toposort_to_names,
    transpose_op,
)
from chainrule.line_sums import (
    factor_of_a_column_leaves_its_sum,
    factor_of_a_row_leaves_its_sum,
    known_column_sums,
    known_row_sums,
)
from chainrule.primitives import (
    exp,
    log,
    log1p,
    log_softmax,
    log_softplus,
    logistic,
    softmax,
    softplus,
)
from chainrule.rewrite import Rule, on
from chainrule.shapes import Size
from chainrule.transposes import (
    blocks_go_inward,
    numbers_leave_stacks,
    parts_of_a_stack,
    totals_turn,
    transposes_cancel,
    transposes_go_inward,
    transposes_leave_stacks,
)


def meaning(node: Node) -> Node:
    """What a name stands for."""
    while node.op is define_op:
        node = node.args[0]
    return node


# ---- algebra


@on(matmul_op, hadamard_op, transpose_op)
def numbers_leave_products(node: Node) -> Node | None:
    """(kA)B = A(kB) = k(AB), for both products; (kA)' = kA'."""
    for i, a in enumerate(node.args):
        if a.op is scale_op:
            bare = tuple(a.args[0] if j == i else b for j, b in enumerate(node.args))
            number, exponents = a.value
            return scale(rebuild(node, bare), number, *zip(a.args[1:], exponents, strict=True))
    return None


@on(matmul_op, ones_op)
def constants_multiply(node: Node) -> Node | None:
    """1 1' is the matrix of ones, 1' 1 = n, and the 1 x 1 matrix of ones is 1."""
    if node.op is ones_op:
        return full(1, (1, 1)) if node.shape[0] == 1 else None
    a, b = map(constant, node.args)
    if a is None or b is None:
        return None
    return scale(full(a * b, node.shape), *_times_size(node.args[0].shape[1]))


@on(matmul_op)
def constant_matrix_is_an_outer_product(node: Node) -> Node | None:
    """With J full of k: J A = k 1 (1' A), A J = k (A 1) 1', and a 1 x 1 number is a coefficient."""
    a, b = node.args
    if a.op is full_op and (k := constant(a)) is not None:
        if a.shape == (1, 1):
            return scale(b, k)
        sums = ones(a.shape[1]).T @ b if a.shape[1] != 1 else b
        return scale(sums if a.shape[0] == 1 else ones(a.shape[0]) @ sums, k)
    if b.op is full_op and (k := constant(b)) is not None:
        if b.shape == (1, 1):
            return scale(a, k)
        sums = a @ ones(b.shape[0]) if b.shape[0] != 1 else a
        return scale(sums if b.shape[1] == 1 else sums @ ones(b.shape[1]).T, k)
    return None


@on(add_op)
def sums_are_tidy(node: Node) -> Node | None:
    """kA + kB = k(A + B), and B - A for -A + B."""
    return None if is_long(node) else from_terms(sum_terms(node), node.shape)


@on(hadamard_op)
def like_factors_are_collected(node: Node) -> Node | None:
    """A o B o A^k = A^(k+1) o B and A o 1/A = 1, where that is shorter."""
    first = next(collected(node), node)
    return first if length(first) < length(node) else None


@on(add_op, hadamard_op)
def like_terms_are_collected(node: Node) -> Node | None:
    """a A + b A = (a + b) A and A o B + A o C = A o (B + C), either way, where that is shorter."""
    if is_long(node):
        return None
    best = min(collected(node), key=length, default=node)
    return best if length(best) < length(node) else None


@on(hadamard_op)
def ones_are_neutral(node: Node) -> Node | None:
    """1 o A = A, entry by entry."""
    a, b = node.args
    return b if constant(a) == 1 else a if constant(b) == 1 else None


@on(matmul_op)
def bilinear_forms_read_from_the_left(node: Node) -> Node | None:
    """a' (M b) = a' M b, a number either way."""
    a, b = node.args
    if node.shape == (1, 1) and b.op is matmul_op and b.shape != (1, 1):
        return a @ b.args[0] @ b.args[1]
    return None


@on(hadamard_op)
def hadamard_products_are_flat(node: Node) -> Node | None:
    """A o (B o C) = A o B o C."""
    a, b = node.args
    return a * b.args[0] * b.args[1] if b.op is hadamard_op else None


@on(matmul_op)
def zero_annihilates(node: Node) -> Node | None:
    """0 A = A 0 = 0."""
    return full(0, node.shape) if any(constant(a) == 0 for a in node.args) else None


@on(scale_op)
def coefficients_cancel(node: Node) -> Node | None:
    """n(A/n + B) = A + nB, in its collected form."""
    number, exponents = node.value
    if node.args[0].op is not add_op or is_long(node.args[0]):
        return None
    powers = dict(zip(node.args[1:], exponents, strict=True))
    terms = sum_terms(node.args[0])
    if not any(t.scalars.get(base, 0) * e < 0 for t in terms for base, e in powers.items()):
        return None
    front = Term(number, powers, {})
    spread = from_terms([t.times(front) for t in terms], node.shape)
    return like_terms_are_collected(spread) or spread


def _times_size(m: Size) -> tuple[Fraction, *tuple[tuple[Node, int], ...]]:
    n = size(m)
    return (Fraction(n),) if isinstance(n, int) else (Fraction(1), (n, 1))


ALGEBRA: tuple[Rule, ...] = (
    numbers_leave_products,
    zero_annihilates,
    constants_multiply,
    constant_matrix_is_an_outer_product,
    known_row_sums,
    known_column_sums,
    factor_of_a_row_leaves_its_sum,
    factor_of_a_column_leaves_its_sum,
    transposes_cancel,
    transposes_leave_stacks,
    numbers_leave_stacks,
    blocks_go_inward,
    parts_of_a_stack,
    bilinear_forms_read_from_the_left,
    ones_are_neutral,
    hadamard_products_are_flat,
    like_factors_are_collected,
    like_terms_are_collected,
    sums_are_tidy,
)


def algebra_with(transposes: Rule) -> tuple[Rule, ...]:
    """The algebra, with another rule for where transposes stay."""
    return tuple(transposes if rule is transposes_cancel else rule for rule in ALGEBRA)


INWARD = algebra_with(transposes_go_inward)
"""The same with every transpose at the names."""
RENEWED: tuple[Rule, ...] = (
    coefficients_cancel,
    totals_turn,
    *(rule for rule in INWARD if rule not in (like_factors_are_collected, like_terms_are_collected)),
)
"""For reading a derivation in other names: every transpose goes to the names, every multiple to its terms.

What is collected stays so, unless multiples cancel.
"""


def minus_enters(node: Node) -> Node:
    """-(A - B) = B - A: last, and only on a whole right-hand side; inside a product it would turn 1 - A o A round."""
    if node.op is not scale_op or node.value[0] >= 0 or node.args[0].op is not add_op:
        return node
    terms = sum_terms(node.args[0])
    if not any(t.number < 0 for t in terms):
        return node
    number, exponents = node.value
    for t in terms:
        t.number = -t.number
    return scale(from_terms(terms, node.shape), -number, *zip(node.args[1:], exponents, strict=True))


def signals_come_first(node: Node) -> Node:
    """B + A = A + B, in a whole derivative: what comes from the examples, by name, stands before a penalty's part."""
    if node.op is not add_op or is_long(node):
        return node
    terms = sum_terms(node)
    found = from_terms(sorted(terms, key=lambda t: not any(map(_says_a_name, t.factors))), node.shape)
    return node if found.op is not add_op else found


def _says_a_name(node: Node) -> bool:
    return any(n.op is define_op for n in toposort_to_names(node))


FINISHING = (minus_enters, signals_come_first)
"""On a whole right-hand side, after every rule."""


# ---- stable forms


@on(log.op)
def log_of_softmax(node: Node) -> Node | None:
    """log softmax(z) = log_softmax(z)."""
    inner = meaning(node.args[0])
    return log_softmax(inner.args[0]) if inner.op is softmax.op else None


@on(log.op)
def log_of_logistic(node: Node) -> Node | None:
    """log logistic(z) = -softplus(-z)."""
    inner = meaning(node.args[0])
    return scale(softplus(-inner.args[0]), -1) if inner.op is logistic.op else None


@on(log.op)
def log_of_complement_of_logistic(node: Node) -> Node | None:
    """log(1 - logistic(z)) = -softplus(z)."""
    inner = meaning(node.args[0])
    if inner.op is add_op and inner.args[0].op is full_op and inner.args[0].value == 1:
        taken = inner.args[1]
        if taken.op is scale_op and taken.value == (-1, ()) and (z := meaning(taken.args[0])).op is logistic.op:
            return scale(softplus(z.args[0]), -1)
    return None


@on(log.op)
def log_of_softplus(node: Node) -> Node | None:
    """log softplus(z) = log_softplus(z)."""
    inner = meaning(node.args[0])
    return log_softplus(inner.args[0]) if inner.op is softplus.op else None


@on(log.op, log1p.op)
def log_of_one_plus_exp(node: Node) -> Node | None:
    """log(1 + exp(z)) = softplus(z)."""
    inner = meaning(node.args[0])
    if node.op is log.op:
        rest = [b for a, b in (inner.args, inner.args[::-1]) if constant(a) == 1] if inner.op is add_op else []
        if not rest:
            return None
        inner = meaning(rest[0])
    return softplus(inner.args[0]) if inner.op is exp.op else None


@on(log.op)
def log_of_exp(node: Node) -> Node | None:
    """log exp(z) = z."""
    inner = meaning(node.args[0])
    return inner.args[0] if inner.op is exp.op else None


@on(exp.op)
def exp_of_log_softmax(node: Node) -> Node | None:
    """exp log_softmax(z) = softmax(z)."""
    inner = meaning(node.args[0])
    return softmax(inner.args[0]) if inner.op is log_softmax.op else None


STABLE: tuple[Rule, ...] = (
    log_of_softmax,
    log_of_logistic,
    log_of_complement_of_logistic,
    log_of_softplus,
    log_of_one_plus_exp,
    log_of_exp,
    exp_of_log_softmax,
)


# ---- rules made for one derivation


def names_are_used(called: Mapping[Node, Node]) -> tuple[Rule, ...]:
    """Rules that put the names of a derivation in place of what they stand for."""

    def the_name_is_used(node: Node) -> Node | None:
        """f(Z) = A, where an equation gives f(Z) the name A."""
        return called.get(node)

    @on(logistic.op)
    def complement_of_a_named_logistic(node: Node) -> Node | None:
        """logistic(-z) = 1 - logistic(z), where logistic(z) has a name."""
        z = node.args[0]
        name = called.get(logistic(-z)) if z.op is scale_op and z.value[0] < 0 else None
        return None if name is None else 1 - name

    return the_name_is_used, complement_of_a_named_logistic
