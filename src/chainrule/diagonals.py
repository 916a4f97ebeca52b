"""Identities of traces, diagonals and diagonal matrices; the docstring is the identity."""

from __future__ import annotations

from chainrule.algebra import Term, constant, from_terms, is_long, sum_terms
from chainrule.expr import Node, add_op, full, hadamard_op, matmul_op, ones, scale_op, size
from chainrule.matrix_functions import by, det, diag, diagonal, is_identity, kron, trace
from chainrule.products import chain, product
from chainrule.rewrite import Rule, on


@on(trace.op)
def traces_are_known(node: Node) -> Node | None:
    """tr(a b') = b'a, tr(I) = n, tr(Diag(a)) = 1'a, tr(A ⊗ B) = tr(A) tr(B)."""
    a = node.args[0]
    if a.op is matmul_op and a.args[0].shape[1] == 1:
        return a.args[1] @ a.args[0]
    if a.op is diag.op:
        count = size(a.shape[0])
        if is_identity(a):
            return full(count, (1, 1)) if isinstance(count, int) else count
        return ones(a.shape[0]).T @ a.args[0]
    if a.op is kron.op and all(x.shape[0] == x.shape[1] for x in a.args):
        return by(trace(a.args[0]), trace(a.args[1]))
    return None


@on(diag.op, diagonal.op, trace.op, det.op)
def numbers_are_their_own_diagonals(node: Node) -> Node | None:
    """Diag(s) = diag(s) = tr(s) = det(s) = s for a 1 x 1 expression s."""
    (a,) = node.args
    return a if a.shape == (1, 1) else None


@on(diagonal.op)
def diagonals_are_known(node: Node) -> Node | None:
    """diag(Diag(a)) = a, diag(a b') = a ∘ b, diag(1 1') = 1."""
    a = node.args[0]
    if (k := constant(a)) is not None:
        return full(k, node.shape)
    if a.op is diag.op:
        return a.args[0]
    if a.op is matmul_op and a.args[0].shape[1] == 1:
        return a.args[0] * a.args[1].T
    return None


@on(diagonal.op)
def diagonal_matrices_leave_diagonals(node: Node) -> Node | None:
    """diag(Diag(a) A) = a ∘ diag(A) = diag(A Diag(a)), also term by term in a sum."""
    terms = sum_terms(node.args[0])
    if len(terms) > 1 and not is_long(node.args[0]) and any(_scaled_by(f) for t in terms for f in t.factors):
        return from_terms([Term(t.number, t.scalars, {diagonal(f): 1 for f in t.factors}) for t in terms], node.shape)
    return _scaled_by(node.args[0])


def _scaled_by(node: Node) -> Node | None:
    """The diagonal of a product that starts or ends with a diagonal matrix."""
    first, *rest = chain(node)
    if rest and first.op is diag.op:
        return first.args[0] * diagonal(product(rest))
    if rest and rest[-1].op is diag.op:
        return diagonal(product([first, *rest[:-1]])) * rest[-1].args[0]
    return None


@on(matmul_op)
def diagonal_matrices_scale(node: Node) -> Node | None:
    """Diag(a) b = a ∘ b, b' Diag(a) = (b ∘ a)', Diag(a) Diag(b) = Diag(a ∘ b)."""
    a, b = node.args
    if a.op is diag.op and b.op is diag.op:
        return diag(a.args[0] * b.args[0])
    if a.op is diag.op and b.shape[1] == 1:
        return a.args[0] * b
    if b.op is diag.op and a.shape[0] == 1:
        return a * b.args[0].T
    return None


@on(hadamard_op)
def diagonals_are_cut_out(node: Node) -> Node | None:
    """Diag(a) ∘ A = Diag(a ∘ diag(A))."""
    for a, b in (node.args, node.args[::-1]):
        if a.op is diag.op:
            return diag(a.args[0] * diagonal(b))
    return None


@on(matmul_op)
def diagonal_matrices_enter_sums(node: Node) -> Node | None:
    """Diag(a) (I + b c') = Diag(a) + (a ∘ b) c', and Diag(a) (I + B Diag(c)) = Diag(a) + Diag(a) B Diag(c)."""
    a, b = node.args
    terms = [t.args[0] if t.op is scale_op else t for t in b.args] if a.op is diag.op and b.op is add_op else []
    short = (
        is_identity(t) or (t.op is matmul_op and (t.args[0].shape[1] == 1 or t.args[1].op is diag.op)) for t in terms
    )
    if terms and all(short):
        return a @ b.args[0] + a @ b.args[1]
    return None


DIAGONALS: tuple[Rule, ...] = (
    numbers_are_their_own_diagonals,
    traces_are_known,
    diagonals_are_known,
    diagonal_matrices_leave_diagonals,
    diagonal_matrices_scale,
    diagonals_are_cut_out,
    diagonal_matrices_enter_sums,
)
