"""Identities of vec and of Kronecker products; the docstring is the identity."""

from __future__ import annotations

from math import prod

from chainrule.algebra import constant
from chainrule.expr import Node, add_op, full, full_op, matmul_op, ones, rebuild, scale_op
from chainrule.matrix_functions import block_products, by, combined_blocks, eye, is_identity, kron, trace, unvec, vec
from chainrule.products import chain, product, transpose
from chainrule.rewrite import Rule, on


@on(vec.op, unvec.op)
def folding_undoes_vec(node: Node) -> Node | None:
    """unvec(vec(A)) = A and vec(unvec(a)) = a; vec(a) = a for a column, a' for a row."""
    a = node.args[0]
    if node.op is unvec.op and a.op is vec.op and a.args[0].shape == node.shape:
        return a.args[0]
    if node.op is vec.op and a.op is unvec.op:
        return a.args[0]
    if a.shape == node.shape:
        return a
    return a.T if node.op is vec.op and a.shape[0] == 1 else None


@on(unvec.op)
def sums_fold_term_by_term(node: Node) -> Node | None:
    """unvec(a + b) = unvec(a) + unvec(b), where a term unfolds."""
    a = node.args[0]
    terms = [t.args[0] if t.op is scale_op else t for t in a.args] if a.op is add_op else []
    if any(t.op in (vec.op, add_op) for t in terms):
        return unvec(a.args[0], node.args[1]) + unvec(a.args[1], node.args[1])
    return None


@on(matmul_op)
def kronecker_products_meet(node: Node) -> Node | None:
    """(A ⊗ B) vec(X) = vec(B X A'), and (A ⊗ B)(C ⊗ D) = A C ⊗ B D, where a factor may be 1."""
    a, b = node.args
    if a.op is not kron.op:
        return _beside_one(a, b)
    A, B = a.args
    if b.op is kron.op and (A.shape[1], B.shape[1]) == (b.args[0].shape[0], b.args[1].shape[0]):
        return kron(A @ b.args[0], B @ b.args[1])
    if b.op is vec.op and b.args[0].shape == (B.shape[1], A.shape[1]):
        return vec(product([B, b.args[0], transpose(A)]))
    return _beside_one(a, b)


def _beside_one(a: Node, b: Node) -> Node | None:
    """(c ⊗ A) B = c ⊗ A B, (A ⊗ c) B = A B ⊗ c, A (r ⊗ B) = r ⊗ A B, A (B ⊗ r) = A B ⊗ r (c a column, r a row)."""
    if a.op is kron.op and chain(b)[0].op is not kron.op:
        left, right = a.args
        return kron(left, right @ b) if left.shape[1] == 1 else kron(left @ b, right) if right.shape[1] == 1 else None
    if b.op is kron.op and chain(a)[-1].op is not kron.op:
        left, right = b.args
        return kron(left, a @ right) if left.shape[0] == 1 else kron(a @ left, right) if right.shape[0] == 1 else None
    return None


@on(block_products.op, combined_blocks.op)
def blocks_of_kronecker_products(node: Node) -> Node | None:
    """The blocks of A ⊗ B are a_ij B, those of I are I or 0: with C they give tr(B'C) A or tr(A'C) B, and tr(C) I."""
    K, C = node.args
    first = node.op is block_products.op
    if K.op is kron.op:
        A, B = K.args if first else K.args[::-1]
        return by(A, trace(B.T @ C)) if B.shape == C.shape else None
    if is_identity(K) and C.shape[0] == C.shape[1]:
        return by(eye(node.shape[0]), trace(C))
    if K.op is full_op:
        return by(full(K.value, node.shape), ones(C.shape[0]).T @ C @ ones(C.shape[1]))
    return None


@on(kron.op)
def rows_and_columns_multiply(node: Node) -> Node | None:
    """a ⊗ b' = b' ⊗ a = a b'."""
    for a, b in (node.args, node.args[::-1]):
        if a.shape[1] == 1 and b.shape[0] == 1:
            return a @ b
    return None


@on(kron.op)
def kronecker_products_of_numbers(node: Node) -> Node | None:
    """s ⊗ A = A ⊗ s = s A for a 1 x 1 expression s, and I ⊗ I = I."""
    a, b = node.args
    if is_identity(a) and is_identity(b):
        return eye(node.shape[0])
    return by(b, a) if a.shape == (1, 1) else by(a, b) if b.shape == (1, 1) else None


@on(kron.op, vec.op)
def constants_stay_constant(node: Node) -> Node | None:
    """c 1 1' ⊗ d 1 1' = c d 1 1' and vec(c 1 1') = c 1."""
    numbers = [constant(a) for a in node.args]
    known = [k for k in numbers if k is not None]
    return full(prod(known), node.shape) if len(known) == len(numbers) else None


@on(add_op)
def kronecker_products_share_a_factor(node: Node) -> Node | None:
    """A ⊗ B + A ⊗ C = A ⊗ (B + C), and B ⊗ A + C ⊗ A = (B + C) ⊗ A."""
    first, second = ((a.args[0], a) if a.op is scale_op else (a, None) for a in node.args)
    if first[0].op is not kron.op or second[0].op is not kron.op:
        return None
    for shared in (0, 1):
        A = first[0].args[shared]
        if A is second[0].args[shared]:
            rest = _scaled(first, 1 - shared) + _scaled(second, 1 - shared)
            return kron(rest, A) if shared else kron(A, rest)
    return None


def _scaled(term: tuple[Node, Node | None], place: int) -> Node:
    """One factor of a Kronecker product, with the coefficient of the product."""
    product_of, scaled = term
    factor = product_of.args[place]
    return factor if scaled is None else rebuild(scaled, (factor, *scaled.args[1:]))


KRONECKER: tuple[Rule, ...] = (
    rows_and_columns_multiply,
    folding_undoes_vec,
    sums_fold_term_by_term,
    kronecker_products_meet,
    kronecker_products_of_numbers,
    blocks_of_kronecker_products,
    constants_stay_constant,
    kronecker_products_share_a_factor,
)
