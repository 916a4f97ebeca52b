"""Functions of a matrix as a whole, one record each: inverse, determinant, trace, norm, diagonals, vec, Kronecker.

A derivative is stated once, as a vector-Jacobian product; identities.py knows what these functions have in common.
"""

from __future__ import annotations

import numpy as np

from chainrule.errors import ShapeError
from chainrule.expr import Node, full, ones, ones_op, scale, sum
from chainrule.functions import Array, Function, Interval, record
from chainrule.primitives import at_zero, sqrt
from chainrule.shapes import Shape, Size, over, show, times

NUMBER: Shape = (1, 1)
SINGULAR = 1e14  # a condition number of which float64 keeps two digits


def by(A: Node, s: Node) -> Node:
    """s A for a 1 x 1 expression s, as a coefficient in front of A."""
    return scale(A, 1, (s, 1))


def _square(what: str, a: Shape) -> Shape:
    if a[0] != a[1]:
        raise ShapeError(f"{what} is of a square matrix, got {show(a)}")
    return a


def _number_of_square(what: str, a: Shape) -> Shape:
    _square(what, a)
    return NUMBER


def _column(what: str, a: Shape) -> Size:
    if a[1] != 1:
        raise ShapeError(f"{what} is made of a column, got {show(a)}")
    return a[0]


def _words(numpy: str, octave: str, torch: str, array_api: str) -> dict[str, str]:
    """The templates of a function of whole matrices; JAX's are those of NumPy, in its own module."""
    return {
        "numpy": numpy,
        "jax": numpy.replace("np.", "jnp."),
        "octave": octave,
        "torch": torch,
        "array-api": array_api,
    }


def _inverse(a: Array) -> Array:
    """NaN where the matrix is singular to working precision, or holds what is no number."""
    if a.size and not (np.isfinite(a).all() and np.linalg.cond(a) < SINGULAR):
        return np.full_like(a, np.nan)
    return np.asarray(np.linalg.inv(a), dtype=a.dtype)


inv: Function = record(
    __name__, "inv", lambda a: _square("an inverse", a), lambda G, Y, i: -(Y.T @ G @ Y.T), None,
    code=_words("np.linalg.inv({0})", "inv({0})", "torch.linalg.inv({0})", "xp.linalg.inv({0})"),
    kernel=lambda a: _inverse(a), whole=True, because=(
        "from {0} Y = I, a change D of {0} changes Y by -Y D Y, and the sum of G .* Y D Y is that of Y' G Y' .* D",
    ), rule="inverse", text="{0}^-1", latex="{0}^{{-1}}",
    text_transposed="{0}^-T", latex_transposed=r"{0}^{{-\top}}", summary="the inverse of a square matrix",
)  # fmt: skip
det: Function = record(
    __name__, "det", lambda a: _number_of_square("a determinant", a),
    lambda G, Y, i: by(by(inv(Y.args[0]).T, Y), G), None,
    code=_words("np.linalg.det({0})", "det({0})", "torch.linalg.det({0})", "xp.linalg.det({0})"),
    kernel=lambda a: np.array([[np.linalg.det(a)]]), whole=True, because=(
        "[{i},{j}] of {0} meets its cofactor, which is the determinant times [{j},{i}] of the inverse",
    ), rule="determinant", text="det({0})",
    latex=r"\det({0})", summary="the determinant; its derivative is written with the inverse",
)  # fmt: skip
logdet: Function = record(
    __name__, "logdet", lambda a: _number_of_square("a determinant", a),
    lambda G, Y, i: by(inv(Y.args[0]).T, G), None,
    code=_words(
        "np.linalg.slogdet({0})[1]", "sum(log(abs(diag(lu({0})))))",  # the pivots, of which det would overflow
        "torch.linalg.slogdet({0})[1]", "xp.linalg.slogdet({0})[1]",
    ),
    kernel=lambda a: np.array([[np.linalg.slogdet(a)[1]]]), whole=True, because=(
        "log|d| has the slope 1/d: the cofactor of [{i},{j}] of {0} over the determinant is [{j},{i}] of the inverse",
    ), rule="log-determinant", text="log|det({0})|",
    latex=r"\log\left|\det({0})\right|", summary="log |det A|, which does not overflow",
)  # fmt: skip
trace: Function = record(
    __name__, "trace", lambda a: _number_of_square("a trace", a), lambda G, Y, i: by(eye(Y.args[0].shape[0]), G), None,
    code=_words("np.trace({0})", "trace({0})", "torch.trace({0})", "xp.linalg.trace({0})"),
    kernel=lambda a: np.array([[np.trace(a)]]), whole=True, because=(
        "only the entries [k,k] of {0} are added, each once: I is 1 there and 0 elsewhere",
    ), rule="trace", text="tr({0})",
    latex=r"\operatorname{{tr}}({0})", summary="the sum of the diagonal",
)  # fmt: skip
norm: Function = record(
    __name__, "norm", lambda a: NUMBER, lambda G, Y, i: scale(Y.args[0], 1, (G, 1), (Y, -1)), None,
    code=_words("np.linalg.norm({0})", 'norm({0}, "fro")', "torch.linalg.norm({0})", "xp.linalg.matrix_norm({0})"),
    definition=lambda a: sqrt(sum(a * a)), kernel=lambda a: np.array([[np.linalg.norm(a)]]), whole=True,
    kinks=at_zero, because=(
        "[{i},{j}] of {0} enters the sum of squares with twice itself as slope, the root of that with 1/(2 root)",
    ), rule="norm", text="‖{0}‖", latex=r"\lVert {0} \rVert", range=Interval(0, closed=True),
    summary="the square root of the sum of squares (Euclid, Frobenius); it has no derivative at 0",
)  # fmt: skip
diag: Function = record(
    __name__, "diag", lambda a: (_column("a diagonal matrix", a),) * 2, lambda G, Y, i: diagonal(G), None,
    code=_words(
        "np.diagflat({0})", "diag({0})", "torch.diagflat({0})", "{0} * xp.eye({rows})"
    ), kernel=lambda a: np.diagflat(a), whole=True, transpose=lambda Y: Y, because=(
        "[{i},0] of {0} is [{i},{i}] of {Y} and nowhere else: of the derivative by that, the diagonal is its own",
    ), rule="diagonal",
    text="Diag({0})", latex=r"\operatorname{{Diag}}({0})", summary="the diagonal matrix of a column",
)  # fmt: skip
diagonal: Function = record(
    __name__, "diagonal", lambda a: (_square("a diagonal", a)[0], 1), lambda G, Y, i: diag(G), None,
    code=_words(
        "np.diag({0})[:, None]", "diag({0})", "torch.diag({0})[:, None]", "xp.linalg.diagonal({0})[:, None]"
    ), kernel=lambda a: np.diag(a)[:, None], whole=True, because=(
        "[k,k] of {0} is [k,0] of {Y}, and no other entry of {0} is in it: theirs is 0",
    ), rule="diagonal", text="diag({0})",
    latex=r"\operatorname{{diag}}({0})", summary="the diagonal of a square matrix, as a column",
)  # fmt: skip
vec: Function = record(
    __name__, "vec", lambda a: (times(*a), 1), lambda G, Y, i: unvec(G, full(0, Y.args[0].shape)), None,
    code=_words(
        '{0}.reshape((-1, 1), order="F")', "reshape({0}, [], 1)", "{0}.T.reshape(-1, 1)", "xp.reshape({0}.T, (-1, 1))"
    ), kernel=lambda a: a.reshape((-1, 1), order="F"), whole=True, because=(
        "every entry of {0} is one of {Y}: the derivative by that column is folded back into a matrix",
    ), text="vec({0})",
    latex=r"\operatorname{{vec}}({0})", summary="the columns of a matrix under each other",
)  # fmt: skip


def _folded(a: Shape, like: Shape) -> Shape:
    if a != (times(*like), 1):
        raise ShapeError(f"a column of {times(*like)} folds into {show(like)}, got {show(a)}")
    return like


unvec: Function = record(
    __name__, "unvec", _folded, lambda G, Y, i: full(0, G.shape) if i else vec(G), None,
    code=_words(
        '{0}.reshape(({rows}, {columns}), order="F")', "reshape({0}, {rows}, {columns})",
        "{0}.reshape({columns}, {rows}).T", "xp.reshape({0}, ({columns}, {rows})).T",
    ), kernel=lambda a, like: a.reshape(like.shape, order="F"),
    whole=True, operands=2, because=(
        "every entry of {0} is one of {Y}: the derivative by that matrix is a column in the same order",
        "only the shape of {1} is used",
    ), rule="vec", text="unvec({0})", latex=r"\operatorname{{vec}}^{{-1}}({0})",
    summary="a column folded into a matrix of the second operand's shape: unvec(vec(A), A) = A",
)  # fmt: skip


# ---- Kronecker products: each of the three is a derivative of the others


def _fourfold(k: Array, rows: int, columns: int) -> Array:
    """The entries of a matrix of blocks of rows x columns: [block row, row, block column, column]."""
    return k.reshape(k.shape[0] // max(rows, 1), rows, k.shape[1] // max(columns, 1), columns)


def _by_blocks(K: Array, B: Array) -> Array:
    out: Array = np.einsum("ipjq,pq->ij", _fourfold(K, *B.shape), B)
    return out


def _of_blocks(K: Array, A: Array) -> Array:
    blocks = _fourfold(K, K.shape[0] // max(A.shape[0], 1), K.shape[1] // max(A.shape[1], 1))
    out: Array = np.einsum("ipjq,ij->pq", blocks, A)
    return out


def _blocks(k: Shape, a: Shape) -> Shape:
    return over(k[0], a[0]), over(k[1], a[1])


kron: Function = record(
    __name__, "kron", lambda a, b: (times(a[0], b[0]), times(a[1], b[1])),
    lambda G, Y, i: combined_blocks(G, Y.args[0]) if i else block_products(G, Y.args[1]), None,
    code=_words(
        "np.kron({0}, {1})", "kron({0}, {1})", "torch.einsum('ij,pq->ipjq', {0}, {1}).reshape({rows}, {columns})",
        "xp.reshape({0}[:, None, :, None] * {1}[None, :, None, :], ({rows}, {columns}))",
    ),
    kernel=lambda a, b: np.kron(a, b), whole=True, operands=2, transpose=lambda Y: kron(Y.args[0].T, Y.args[1].T),
    text="{0} ⊗ {1}", latex=r"{0} \otimes {1}", because=(
        "[{i},{j}] of {0} multiplies {1} in block [{i},{j}] of {Y}: G there, times {1} entry by entry, is added up",
        "[{i},{j}] of {1} is in every block of {Y}, times an entry of {0}: the blocks of G are added with those",
    ), rule="Kronecker product",
    summary="the Kronecker product, of which the blocks are a_ij B",
)  # fmt: skip
block_products: Function = record(
    __name__, "block_products", _blocks,
    lambda G, Y, i: combined_blocks(Y.args[0], G) if i else kron(G, Y.args[1]), None,
    code=_words(
        "np.einsum('ipjq,pq->ij', {0}.reshape({rows}, {1}.shape[0], {columns}, {1}.shape[1]), {1})",
        "reshape(sum(sum(reshape({0}, size({1}, 1), {rows}, size({1}, 2), {columns})"
        " .* reshape({1}, size({1}, 1), 1, size({1}, 2)), 1), 3), {rows}, {columns})",
        "torch.einsum('ipjq,pq->ij', {0}.reshape({rows}, {1}.shape[0], {columns}, {1}.shape[1]), {1})",
        "xp.sum(xp.reshape({0}, ({rows}, {1}.shape[0], {columns}, {1}.shape[1])) * {1}[None, :, None, :], axis=(1, 3))",
    ),
    kernel=_by_blocks, whole=True, operands=2, because=(
        "[p,q] in block [r,s] of {0} meets [p,q] of {1}, in [r,s] of {Y} alone: it gets G[r,s] times that",
        "[{i},{j}] of {1} meets [{i},{j}] of every block [r,s] of {0}, in [r,s] of {Y}: G[r,s] times those is added up",
    ), rule="Kronecker product",
    transpose=lambda Y: block_products(Y.args[0].T, Y.args[1].T), text="block_products({0}, {1})",
    summary="the matrix of the Frobenius products of every block of the first with the second",
)  # fmt: skip
combined_blocks: Function = record(
    __name__, "combined_blocks", _blocks,
    lambda G, Y, i: block_products(Y.args[0], G) if i else kron(Y.args[1], G), None,
    code=_words(
        "np.einsum('ipjq,ij->pq', {0}.reshape({1}.shape[0], {rows}, {1}.shape[1], {columns}), {1})",
        "reshape(sum(sum(reshape({0}, {rows}, size({1}, 1), {columns}, size({1}, 2))"
        " .* reshape({1}, 1, size({1}, 1), 1, size({1}, 2)), 2), 4), {rows}, {columns})",
        "torch.einsum('ipjq,ij->pq', {0}.reshape({1}.shape[0], {rows}, {1}.shape[1], {columns}), {1})",
        "xp.sum(xp.reshape({0}, ({1}.shape[0], {rows}, {1}.shape[1], {columns})) * {1}[:, None, :, None], axis=(0, 2))",
    ),
    kernel=_of_blocks, whole=True, operands=2, because=(
        "block [r,s] of {0} is added times [r,s] of {1}: it gets G times that number",
        "[{i},{j}] of {1} multiplies block [{i},{j}] of {0} in the sum: it gets G times that, entry by entry, added up",
    ), rule="Kronecker product",
    transpose=lambda Y: combined_blocks(Y.args[0].T, Y.args[1].T), text="combined_blocks({0}, {1})",
    summary="the blocks of the first, added with the entries of the second as coefficients",
)  # fmt: skip


# ---- what is an expression over these


def eye(size: Size) -> Node:
    """The identity matrix I, the diagonal matrix of ones.

    Examples
    --------
    >>> import chainrule as cr
    >>> X = cr.matrix("X", "n", "n")
    >>> print(cr.text(cr.inv(X + cr.eye("n"))))
    (X + I)^-1
    """
    return diag(ones(size))


def is_identity(node: Node) -> bool:
    """Is it I?"""
    return node.op is diag.op and (node.args[0].op is ones_op or node.args[0] is full(1, node.args[0].shape))


def frobenius(A: Node, B: Node) -> Node:
    """The Frobenius product, tr(A' B): the sum of the products of all entries.

    Examples
    --------
    >>> import chainrule as cr
    >>> A, X = cr.matrix("A", "m", "n"), cr.matrix("X", "m", "n")
    >>> cr.text(*cr.gradient(cr.frobenius(A, X), X))
    'A'
    """
    return sum(A * B)


def matrix_power(A: Node, k: int) -> Node:
    """A product of k factors A, or of -k inverses; I for 0.

    Examples
    --------
    >>> import chainrule as cr
    >>> X = cr.matrix("X", "n", "n")
    >>> cr.text(*cr.gradient(cr.trace(cr.matrix_power(X, 3)), X))
    "3 X' X'"
    """
    _square("a power", A.shape)
    if k == 0:
        return eye(A.shape[0])
    factor: Node = A if k > 0 else inv(A)
    out = factor
    for _ in range(abs(k) - 1):
        out = out @ factor
    return out


__all__ = [
    "block_products", "combined_blocks", "det", "diag", "diagonal", "eye", "frobenius", "inv", "kron", "logdet",
    "matrix_power", "norm", "trace", "unvec", "vec",
]  # fmt: skip
