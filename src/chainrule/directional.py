"""Derivatives along directions: J V, U' J, the Hessian times V, and the Gauss-Newton matrix times V, as expressions.

Nothing is differentiated by hand here: forward mode is the transpose of the stated reverse rules (adjoint.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from chainrule.adjoint import push
from chainrule.asked import check_expressions
from chainrule.calls import shown
from chainrule.derive import check_scalar, gradient, pulled_back
from chainrule.errors import DerivationError, ShapeError
from chainrule.expr import Node, full, toposort
from chainrule.identities import ANY
from chainrule.python_form import called
from chainrule.rewrite import Rewriter
from chainrule.shapes import show
from chainrule.stable import stabilized
from chainrule.substitute import placeholder, replaced


def jvp(expression: Node, directions: Mapping[Node, Node]) -> Node:
    """Derive how an expression changes when matrices move along directions: its Jacobian times a vector.

    Parameters
    ----------
    expression : Node of shape (r, c)
    directions : mapping of Node to Node
        A direction V, of the shape of W, for each W that moves: a symbol or an inner expression.

    Returns
    -------
    Node of shape (r, c)
        d/dt of the expression at W + t V, simplified.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, W, V = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("V", "d", "k")
    >>> cr.text(cr.jvp(cr.tanh(X @ W), {W: V}))
    '(X V) ∘ (1 - tanh(X W) ∘ tanh(X W))'
    >>> A, B = cr.matrix("A", "n", "n"), cr.matrix("B", "n", "n")
    >>> cr.text(cr.jvp(cr.inv(A), {A: B}))
    '-A^-1 B A^-1'
    """
    _check_directions("jvp", expression, directions)
    return pushed(expression, directions)


def _check_directions(function: str, expression: object, directions: object, *others: object) -> None:
    if not isinstance(directions, Mapping):
        raise TypeError(f"{function}() takes directions by matrix, such as {{W: V}}, got {shown(directions)}")
    check_expressions(function, expression, *others, *directions, *directions.values())
    if not directions:
        raise DerivationError(f"{function}() needs a direction for at least one matrix: {{W: V}}")


def pushed(expression: Node, directions: Mapping[Node, Node]) -> Node:
    """The tangent of an expression; inner nodes that move become symbols first, so no stable form looks through."""
    for W, V in directions.items():
        if W.shape != V.shape:
            raise ShapeError(
                f"a direction has the shape of what moves: {called(W)} is {show(W.shape)}, got {show(V.shape)}"
            )
    leaves = {W: placeholder(W, str(i)) for i, W in enumerate(directions) if W.args}
    (root,), _ = stabilized(replaced(expression, leaves))
    rewriter = Rewriter(ANY)
    tangents = {leaves.get(W, W): V for W, V in directions.items()}
    tangent = push(tangents, [root], settle=lambda node, T: rewriter(T)).get(root, full(0, root.shape))
    return replaced(rewriter(tangent), {leaf: W for W, leaf in leaves.items()})


def vjp(expression: Node, weights: Node, *wrt: Node) -> tuple[Node, ...]:
    """Derive the gradient of <U, expression>: a vector times the Jacobian.

    Parameters
    ----------
    expression : Node of shape (r, c)
    weights : Node of shape (r, c)
        U, as the derivative of a loss by this expression would be.
    *wrt : Node
        Symbols or inner expressions.

    Returns
    -------
    tuple of Node
        One for each w, of its shape.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, W, U = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("U", "n", "k")
    >>> cr.text(*cr.vjp(X @ W, U, W))
    "X' U"
    """
    check_expressions("vjp", expression, weights, *wrt)
    if weights.shape != expression.shape:
        raise ShapeError(
            f"the weights have the shape of the expression, {show(expression.shape)}, got {show(weights.shape)}"
        )
    if not wrt:
        raise DerivationError("vjp() needs at least one matrix to differentiate by: vjp(expression, U, W)")
    return pulled_back(expression, weights, wrt)


def hessian_vector_product(loss: Node, directions: Mapping[Node, Node]) -> tuple[Node, ...]:
    """Derive the Hessian of a loss times a direction, without the Hessian: forward over reverse (Pearlmutter 1994).

    Parameters
    ----------
    loss : Node of shape (1, 1)
    directions : mapping of Node to Node
        A direction V, of the shape of W, for each symbol W that the loss is differentiated by.

    Returns
    -------
    tuple of Node
        d/dt of the gradient at W + t V, one for each W.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, w, y = cr.matrix("X", "n", "d"), cr.matrix("w", "d", 1), cr.matrix("y", "n", 1)
    >>> v = cr.matrix("v", "d", 1)
    >>> cr.text(*cr.hessian_vector_product(cr.sum((X @ w - y) * (X @ w - y)), {w: v}))
    "2 X' X v"
    """
    _check_directions("hessian_vector_product", loss, directions)
    check_scalar(loss)
    return tuple(pushed(G, directions) for G in gradient(loss, *directions))


def gauss_newton_product(loss: Node, outputs: Node, directions: Mapping[Node, Node]) -> tuple[Node, ...]:
    """Derive the Gauss-Newton matrix of a loss times a direction: J' H J V, with J of the outputs and H of the loss.

    It leaves out how the outputs bend, and is positive semi-definite where the loss is convex in the outputs
    (Schraudolph 2002).

    Parameters
    ----------
    loss : Node of shape (1, 1)
    outputs : Node
        An inner expression of the loss, such as the scores of a network.
    directions : mapping of Node to Node
        A direction V, of the shape of W, for each W.

    Returns
    -------
    tuple of Node
        One for each W, of its shape.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, w, y = cr.matrix("X", "n", "d"), cr.matrix("w", "d", 1), cr.matrix("y", "n", 1)
    >>> f = cr.exp(X @ w)
    >>> (Gv,) = cr.gauss_newton_product(cr.half_squared_error(f, y), f, {w: cr.matrix("v", "d", 1)})
    >>> cr.text(Gv)
    "(X' ((X v) ∘ exp(X w) ∘ exp(X w)))/n"
    """
    _check_directions("gauss_newton_product", loss, directions, outputs)
    check_scalar(loss)
    if outputs not in set(toposort(loss)):
        raise DerivationError(
            f"the loss is not made of these outputs, {called(outputs)}: give an inner expression of it"
        )
    through = placeholder(outputs, "outputs")
    rest = replaced(loss, {outputs: through})
    for W in directions:
        if W in set(toposort(rest)):
            raise DerivationError(
                f"the loss depends on {called(W)} beside the outputs: leave that part, such as a penalty, out"
            )
    (curved,) = hessian_vector_product(rest, {through: pushed(outputs, directions)})
    return pulled_back(outputs, replaced(curved, {through: outputs}), tuple(directions))
