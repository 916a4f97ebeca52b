"""The Hessian of a loss as one matrix, in closed form where the Hessian times a direction shows one.

The product H v is linear in v; read from the inside out, each operation says what it does to the matrix so far.
"""

from __future__ import annotations

from functools import reduce

from chainrule.asked import check_expressions
from chainrule.directional import hessian_vector_product
from chainrule.errors import DerivationError
from chainrule.expr import Node, add_op, hadamard_op, matmul_op, matrix, scale, scale_op, toposort, transpose_op
from chainrule.identities import ANY
from chainrule.matrix_functions import diag, eye, kron, trace, vec
from chainrule.python_form import called
from chainrule.rewrite import Rewriter
from chainrule.shapes import Size, times


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
    "Diag(softmax(z')) - softmax(z') softmax(z)"
    >>> x, A = cr.matrix("x", "n", 1), cr.matrix("A", "n", "n")
    >>> cr.text(cr.hessian(x.T @ A @ x, x))
    "A + A'"
    """
    check_expressions("hessian", loss, wrt)
    v = matrix("_v", *wrt.shape)
    (product,) = hessian_vector_product(loss, {wrt: v})
    rewriter = Rewriter(ANY)
    try:
        return rewriter(matrix_of(product, v, rewriter))
    except NotFoundError as failure:
        raise DerivationError(
            f"no matrix is found for the Hessian by {called(wrt)}, because of {failure}: use hessian_vector_product"
        ) from None


class NotFoundError(Exception):
    """An operation of which the matrix is not known."""


def matrix_of(expression: Node, v: Node, rewriter: Rewriter) -> Node:
    """The matrix M of a linear map: vec(expression) = M vec(v)."""
    found: dict[Node, Node] = {v: eye(times(*v.shape))}
    for node in toposort(expression):
        if node is not v and any(a in found for a in node.args):
            found[node] = rewriter(_matrix(node, found))
    if expression not in found:
        rows, columns = (times(*shape) for shape in (expression.shape, v.shape))
        return scale(matrix("_zero", rows, columns), 0)
    return found[expression]


def _matrix(node: Node, found: dict[Node, Node]) -> Node:
    """What an operation makes of the matrix of its operand: it is linear in one of them, or adds them."""
    if node.op is add_op:
        return reduce(lambda a, b: a + b, (found[a] for a in node.args))
    (moving,) = [i for i, a in enumerate(node.args) if a in found][:1]
    M, other = found[node.args[moving]], node.args[1 - moving] if len(node.args) == 2 else node
    if sum(a in found for a in node.args) > 1:
        raise NotFoundError("a product that is not linear")
    if node.op is scale_op:
        number, exponents = node.value
        powers = list(zip(node.args[1:], exponents, strict=True))
        if moving == 0:
            return scale(M, number, *powers)
        return scale(vec(node.args[0]) @ M, number, *(p for i, p in enumerate(powers, 1) if i != moving))
    if node.op is hadamard_op:
        return diag(vec(other)) @ M
    if node.op is matmul_op:
        return _beside(other.T, node.shape[0]) @ M if moving == 0 else _blocks(other, node.shape[1]) @ M
    if node.op is transpose_op and 1 in node.shape:
        return M
    if node.op is trace.op:
        return vec(eye(node.args[0].shape[0])).T @ M
    rows, columns = node.args[0].shape
    raise NotFoundError(f"{node.op.name} of a {rows} x {columns} matrix")


def _blocks(A: Node, count: Size) -> Node:
    """vec(A X) = (I ⊗ A) vec(X) for an X of so many columns."""
    return A if count == 1 else kron(eye(count), A)


def _beside(B: Node, count: Size) -> Node:
    """vec(X B') = (B ⊗ I) vec(X) for an X of so many rows."""
    return B if count == 1 else kron(B, eye(count))
