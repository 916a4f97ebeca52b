"""Matrices side by side, one below the other, and the blocks of one: three operations and their derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from chainrule.errors import ShapeError
from chainrule.expr import Node, Op, apply, full, register
from chainrule.shapes import Shape, Size, show

Range = tuple[int, int] | None  # from the first (counted from 0) to before the second; None is all


def hstack(*parts: Node) -> Node:
    """Put matrices side by side: [A, B].

    Parameters
    ----------
    *parts : Node of shape (r, c1), (r, c2), ...

    Returns
    -------
    Node of shape (r, c1 + c2 + ...)

    Examples
    --------
    >>> import chainrule as cr
    >>> X = cr.matrix("X", "n", 4)
    >>> cr.text(cr.hstack(X, cr.ones("n"))), cr.hstack(X, cr.ones("n")).shape
    ('[X, 1]', ('n', 5))
    """
    return parts[0] if len(parts) == 1 else apply(hstack_op, *parts, value=())


def vstack(*parts: Node) -> Node:
    """Put matrices one below the other: [A; B].

    Parameters
    ----------
    *parts : Node of shape (r1, c), (r2, c), ...

    Returns
    -------
    Node of shape (r1 + r2 + ..., c)

    Examples
    --------
    >>> import chainrule as cr
    >>> W, b = cr.matrix("W", 4, "k"), cr.matrix("b", 1, "k")
    >>> cr.text(cr.vstack(W, b)), cr.vstack(W, b).shape
    ('[W; b]', (5, 'k'))
    """
    return parts[0] if len(parts) == 1 else apply(vstack_op, *parts, value=())


def block(A: Node, rows: Range = None, columns: Range = None) -> Node:
    """Take rows and columns out of a matrix.

    Parameters
    ----------
    A : Node
    rows, columns : (int, int), optional
        From the first, counted from 0, to before the second, as Python slices; all where not given.

    Returns
    -------
    Node

    Examples
    --------
    Formulas count as Python does, and as entries are counted: four rows, 0 to 3.

    >>> import chainrule as cr
    >>> W = cr.matrix("W", 5, "k")
    >>> cr.text(cr.block(W, rows=(0, 4))), cr.block(W, rows=(0, 4)).shape
    ('W[0:4, :]', (4, 'k'))
    """
    rows, columns = (None if r == (0, size) else r for r, size in zip((rows, columns), A.shape, strict=True))
    return A if rows is columns is None else apply(block_op, A, value=(rows, columns))


def bounds(node: Node) -> tuple[Range, Range]:
    """The rows and the columns that a block takes."""
    rows, columns = node.value
    return rows, columns


def _stacked_shape(shapes: Sequence[Shape], along: int) -> Shape:
    across = 1 - along
    for other in shapes[1:]:
        if other[across] != shapes[0][across]:
            what = "columns" if along == 0 else "rows"
            raise ShapeError(f"cannot stack {show(shapes[0])} and {show(other)}: they need equally many {what}")
    total = _total([shape[along] for shape in shapes])
    return (shapes[0][0], total) if along else (total, shapes[0][1])


def _total(sizes: Sequence[Size]) -> int:
    for size in sizes:
        if not isinstance(size, int):
            raise ShapeError(f"the sizes of what is stacked are added up, and must be numbers; {size} is a name")
    return sum(int(size) for size in sizes)


def _block_shape(shape: Shape, rows: Range, columns: Range) -> Shape:
    height, width = (_length(r, size, shape) for r, size in zip((rows, columns), shape, strict=True))
    return height, width


def _length(wanted: Range, size: Size, shape: Shape) -> Size:
    if wanted is None:
        return size
    start, stop = wanted
    if not isinstance(size, int):
        raise ShapeError(f"a block is taken where sizes are numbers, got {start}:{stop} of {size}, in {show(shape)}")
    if not 0 <= start <= stop <= size:
        raise ShapeError(f"there is no block {start}:{stop} of {size}, in a matrix {show(shape)}")
    return stop - start


def _stack_vjp(along: int) -> Op:
    """d[A, B] = [dA, dB]: each part gets its own block of G."""

    def vjp(G: Node, Y: Node, i: int) -> Node:
        ends = [0, *accumulate(_total([a.shape[along]]) for a in Y.args)]
        own = (ends[i], ends[i + 1])
        return block(G, columns=own) if along else block(G, rows=own)

    name = "hstack" if along else "vstack"
    return Op(name, lambda *shapes: _stacked_shape(shapes, along), vjp, "its part of a stack", home=__name__)


def _block_vjp(G: Node, Y: Node, i: int) -> Node:
    """What is not in the block gets 0."""
    rows, columns = bounds(Y)
    if rows is not None:
        above, below = rows[0], _total([Y.args[0].shape[0]]) - rows[1]
        top, bottom = ([full(0, (size, G.shape[1]))] if size else [] for size in (above, below))
        G = vstack(*top, G, *bottom)
    if columns is not None:
        left, right = columns[0], _total([Y.args[0].shape[1]]) - columns[1]
        before, after = ([full(0, (G.shape[0], size))] if size else [] for size in (left, right))
        G = hstack(*before, G, *after)
    return G


hstack_op = register(_stack_vjp(1))
vstack_op = register(_stack_vjp(0))
block_op = register(Op("block", _block_shape, _block_vjp, "0 beside a block", home=__name__, sized=True))
