"""The Hessian of a loss as one matrix, in closed form where the Hessian times a direction shows one.

The product H v is linear in v; read from the inside out, each operation says what it does to the matrix so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from chainrule.asked import check_expressions
from chainrule.derive import gradient
from chainrule.directional import pushed
from chainrule.errors import DerivationError, with_article
from chainrule.expr import (
    Node,
    add_op,
    full,
    hadamard_op,
    matmul_op,
    rebuild,
    scale,
    scale_op,
    toposort,
    transpose_op,
)
from chainrule.identities import ANY
from chainrule.matrix_functions import diag, eye, kron, trace, vec
from chainrule.products import chain
from chainrule.python_form import called
from chainrule.rewrite import Rewriter
from chainrule.shapes import Size, times
from chainrule.substitute import placeholder


def hessian(loss: Node, wrt: Node) -> Node:
    """Derive the matrix of second derivatives, in closed form.

    Parameters
    ----------
    loss : Node of shape (1, 1)
    wrt : Node of shape (r, c)
        A symbol or an inner expression: a column, a row, or a matrix, whose columns then stand under each other.

    Returns
    -------
    Node of shape (r c, r c)
        Simplified, with Kronecker products for a matrix.

    Raises
    ------
    DerivationError
        Where no matrix is found; `hessian_vector_product` has no such limit.

    Examples
    --------
    >>> import chainrule as cr
    >>> z, y = cr.matrix("z", 1, "k"), cr.matrix("y", 1, "k", facts=["rows_sum_to_one"])
    >>> cr.text(cr.hessian(cr.cross_entropy(cr.softmax(z), y), z))
    "Diag(softmax(z)') - softmax(z)' softmax(z)"
    >>> x, A = cr.matrix("x", "n", 1), cr.matrix("A", "n", "n")
    >>> cr.text(cr.hessian(x.T @ A @ x, x))
    "A + A'"
    """
    check_expressions("hessian", loss, wrt)
    try:
        return closed_form(gradient(loss, wrt)[0], wrt)
    except NotFoundError as failure:
        raise DerivationError(f"{failure}: use hessian_vector_product") from None


def closed_form(derivative: Node, wrt: Node) -> Node:
    """The Hessian of a loss as one matrix, from its derivative, or the error that says why none is found."""
    v = placeholder(wrt, "direction")
    product = pushed(derivative, {wrt: v})
    rewriter = Rewriter(ANY)
    try:
        return rewriter(matrix_of(product, v, rewriter))
    except NotFoundError as failure:
        message = f"no matrix is found for the Hessian by {called(wrt)}, because of {failure}"
        raise NotFoundError(message) from None


class NotFoundError(Exception):
    """An operation of which the matrix is not known."""


COMMUTES = ", which needs a commutation matrix, vec(A') = K vec(A), that the language has not"
Turned = tuple[Node, bool]  # the M of vec(A) = M vec(v), or, where it is True, of vec(A') = M vec(v)


def matrix_of(expression: Node, v: Node, rewriter: Rewriter) -> Node:
    """The matrix M of a linear map: vec(expression) = M vec(v).

    It is the product of those from one waist of the graph to the next, each of which is simplified by itself.
    """
    expression = _upright(expression, v)
    moves = {v}
    for node in toposort(expression):
        if any(a in moves for a in node.args):
            moves.add(node)
    moving = [node for node in toposort(expression) if node in moves]
    if not moving:
        rows, columns = (times(*shape) for shape in (expression.shape, v.shape))
        return full(0, (rows, columns))
    whole = eye(times(*v.shape))
    found: dict[Node, Turned] = {v: (whole, False)}
    for node, is_waist in zip(moving[1:], _waists(moving)[1:], strict=True):
        M, turned = _matrix(node, found)
        found[node] = rewriter(M), turned and 1 not in node.shape  # a row is as good as a column
        if is_waist:
            M, turned = found[node]
            whole = rewriter(M @ whole)
            found = {node: (eye(times(*node.shape)), turned)}
    if found[expression][1]:
        raise NotFoundError(f"the transpose of {_sized(expression)}{COMMUTES}")
    return whole


def _upright(root: Node, v: Node) -> Node:
    """Every 1 x 1 product a' v' b as b' v a: with fewer transposes of v, more of the graph goes through one node."""
    new: dict[Node, Node] = {}
    for node in toposort(root):
        same = rebuild(node, tuple(new[a] for a in node.args))
        factors = chain(same) if same.op is matmul_op and same.shape == (1, 1) else []
        new[node] = reduce(lambda right, f: f @ right, (f.T for f in factors)) if v.T in factors else same
    return new[root]


def _waists(moving: Sequence[Node]) -> list[bool]:
    """Through which of the nodes that move does all go that comes before them?"""
    place = {node: i for i, node in enumerate(moving)}
    last = list(range(len(moving)))  # where each is read for the last time
    for i, node in enumerate(moving):
        for a in node.args:
            if a in place:
                last[place[a]] = i
    return [all(last[j] <= i for j in range(i)) for i in range(len(moving))]


def _matrix(node: Node, found: Mapping[Node, Turned]) -> Turned:
    """What an operation makes of the matrix of its operand: it is linear in one of them, or adds them."""
    known = [i for i, a in enumerate(node.args) if a in found]
    if node.op is add_op:
        return _sum([found[node.args[i]] for i in known], node)
    if len(known) > 1:
        raise NotFoundError("a product that is not linear")
    i = known[0]
    M, turned = found[node.args[i]]
    other = node.args[1 - i] if len(node.args) == 2 else node
    if node.op is scale_op:
        number, exponents = node.value
        powers = list(zip(node.args[1:], exponents, strict=True))
        if i == 0:
            return scale(M, number, *powers), turned
        return scale(vec(node.args[0]) @ M, number, *(p for j, p in enumerate(powers, 1) if j != i)), False
    if node.op is hadamard_op:
        return diag(vec(other.T if turned else other)) @ M, turned
    if node.op is matmul_op:
        A = other.T if i == 0 else other  # vec(V B) = (B' ⊗ I) vec(V), vec(A V) = (I ⊗ A) vec(V), and vec(V'A')
        return (_beside if (i == 0) != turned else _blocks)(A, node.shape[i]) @ M, turned
    if node.op is transpose_op:
        return M, not turned
    if node.op is trace.op:
        return vec(eye(node.args[0].shape[0])).T @ M, False
    raise NotFoundError(f"{node.op.name} of {_sized(node.args[0])}")


def _sum(parts: Sequence[Turned], node: Node) -> Turned:
    turned = parts[0][1]
    if any(each != turned for _, each in parts):
        raise NotFoundError(f"a sum with the transpose of {_sized(node)}{COMMUTES}")
    return reduce(lambda a, b: a + b, (M for M, _ in parts)), turned


def _sized(node: Node) -> str:
    rows, columns = node.shape
    return with_article(f"{rows} x {columns} matrix")


def _blocks(A: Node, count: Size) -> Node:
    """vec(A X) = (I ⊗ A) vec(X) for an X of so many columns."""
    return A if count == 1 else kron(eye(count), A)


def _beside(B: Node, count: Size) -> Node:
    """vec(X B') = (B ⊗ I) vec(X) for an X of so many rows."""
    return B if count == 1 else kron(B, eye(count))
