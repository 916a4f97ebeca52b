"""Derivation: from a loss to named equations, by one reverse sweep, each equation simplified as it is made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from importlib import import_module
from typing import Literal

from chainrule.adjoint import sweep
from chainrule.asked import check_expressions
from chainrule.errors import DerivationError
from chainrule.expr import (
    Node,
    define,
    define_op,
    full,
    full_op,
    is_atom,
    matmul_op,
    scale_op,
    symbol_op,
    toposort,
    toposort_to_names,
)
from chainrule.functions import function_of, is_function
from chainrule.identities import ANY, LAST
from chainrule.line_sums import is_ones_column, is_ones_row
from chainrule.rewrite import Rewriter, Rule, Step
from chainrule.rules import ALGEBRA, FINISHING, STABLE, names_are_used
from chainrule.shapes import Shape, Size, show
from chainrule.stable import stabilized
from chainrule.substitute import placeholder, renamed, replaced

Phase = Literal["forward", "loss", "backward", "update", "tangent", "hessian"]


@dataclass(frozen=True, repr=False)
class Equation:
    """One line of a derivation: `name = expression`, and the rule that made it."""

    name: str
    expression: Node  # refers to earlier equations by name
    shape: Shape
    rule: str
    phase: Phase

    @property
    def node(self) -> Node:
        """The name as an expression, for use in later equations."""
        return define(self.name, self.expression)

    def __str__(self) -> str:
        """As plain text, such as dZ1 = (dZ2 W2') ∘ [Z1 > 0]."""
        render = import_module("chainrule.render.text")  # upwards, and only to be read
        return str(render.text(self.node))

    def __repr__(self) -> str:
        return f"<Equation {self} {show(self.shape)}>"


# ---- derivatives of any expression


def gradient(loss: Node, *wrt: Node) -> tuple[Node, ...]:
    """Derive dloss/dw for every w, as simplified expressions.

    The loss is first brought into its stable form, as a network's is: log(softmax(Z)) is differentiated as
    log_softmax(Z), so that the derivative is finite at any score.

    Parameters
    ----------
    loss : Node of shape (1, 1)
        A scalar expression, such as `cr.sum(...)`, `cr.trace(...)` or a loss.
    *wrt : Node
        Symbols or inner expressions.

    Returns
    -------
    tuple of Node
        One for each w, of the shape of w.

    Raises
    ------
    DerivationError
        If the loss is not 1 x 1.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, W, Y = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("Y", "n", "k")
    >>> dX, dW = cr.gradient(cr.half_squared_error(X @ W, Y), X, W)
    >>> cr.text(dW)
    "(X' (X W - Y))/n"
    >>> A = cr.matrix("A", "n", "n")
    >>> cr.text(*cr.gradient(cr.logdet(A), A))
    'A^-T'
    """
    if not wrt:
        raise DerivationError("gradient() needs at least one matrix to differentiate by: gradient(loss, W)")
    check_expressions("gradient", loss, *wrt)
    check_scalar(loss)
    return pulled_back(loss, full(1, (1, 1)), wrt)


def gradients(loss: Node) -> dict[Node, Node]:
    """Derive dloss/dv for every node v that the loss is made of.

    A symbol's is that of `gradient`; of an inner node it is the adjoint in the graph as it stands.

    Examples
    --------
    >>> import chainrule as cr
    >>> A = cr.matrix("A", "n", "n")
    >>> cr.text(cr.gradients(cr.sum(A @ A))[A])
    "1 (1' A') + A' 1 1'"
    """
    check_expressions("gradients", loss)
    check_scalar(loss)
    nodes = list(toposort(loss))
    symbols = [node for node in nodes if node.op is symbol_op]
    rewriter = Rewriter(ANY)
    adjoint = sweep({loss: full(1, (1, 1))}, nodes, lambda node, G: rewriter(G))
    adjoint |= dict(zip(symbols, pulled_back(loss, full(1, (1, 1)), symbols), strict=True))
    return {node: adjoint.get(node, full(0, node.shape)) for node in nodes}


def check_scalar(loss: Node) -> None:
    """Refuse to differentiate what is not one number."""
    if loss.shape != (1, 1):
        message = f"a gradient is of one number, got {show(loss.shape)}: reduce it first, as sum(...) does"
        raise DerivationError(message, loss)


def pulled_back(expression: Node, G: Node, wrt: Sequence[Node]) -> tuple[Node, ...]:
    """The adjoints of `wrt` where that of the expression is G: G' J, for one sweep of all symbols.

    An inner node is made a symbol first, so that no stable form looks through it.
    """
    found: dict[Node, Node] = {}
    inner = [[w] for w in wrt if w.op is not symbol_op]
    for group in ([w for w in wrt if w.op is symbol_op], *inner):
        stands_for = {w: placeholder(w, str(i)) for i, w in enumerate(group) if w.op is not symbol_op}
        (root,), _ = stabilized(replaced(expression, stands_for))
        rewriter = Rewriter(ANY)
        leaves = [stands_for.get(w, w) for w in group]
        adjoint = sweep({root: G}, leaves, lambda node, G, rewriter=rewriter: rewriter(G))  # type: ignore[misc]
        back = {leaf: w for w, leaf in stands_for.items()}
        for w, leaf in zip(group, leaves, strict=True):
            whole = reduce(lambda tidy, last: last(tidy), LAST, adjoint.get(leaf, full(0, w.shape)))
            found[w] = replaced(whole, back)
    return tuple(found[w] for w in wrt)


# ---- named equations


@dataclass(frozen=True)
class Derived:
    """The equations of one derivation and every rewriting step behind them."""

    equations: tuple[Equation, ...]
    steps: Sequence[Step]
    factors: Mapping[str, Node] = field(default_factory=dict)  # of a name that stands for a multiple of what it says
    origin: Derived | None = None  # what this one is a reading of

    def steps_to(self, name: str) -> Sequence[Step]:
        """The steps to one equation: of the first derivation, then of its re-reading."""
        return self._steps_by_name.get(name, ())

    @cached_property
    def _steps_by_name(self) -> Mapping[str, Sequence[Step]]:
        by_name: dict[str, list[Step]] = {}
        for s in self.steps:
            by_name.setdefault(s.equation, []).append(s)
        return by_name


def derive_equations(
    forward: Sequence[tuple[Node, str, Phase]],
    parameters: Iterable[Node],
    *,
    keep: Collection[str] = (),
    rules: Sequence[Rule] = ALGEBRA,
    stable: Sequence[Rule] = STABLE,
    finish: Sequence[Callable[[Node], Node]] | None = None,
    last: Sequence[Callable[[Node], Node]] = (),
) -> Derived:
    """Differentiate the last forward definition, the loss, by the parameters.

    Parameters
    ----------
    forward : sequence of (definition, rule, phase)
        Named expressions in order; later ones refer to earlier ones.
    parameters : iterable of Node
        The symbols whose derivatives are wanted.
    keep : collection of str
        Names whose adjoint becomes an equation of its own (the pre-activations). Others are put in where they are
        used, unless the chain rule uses them twice.
    rules, stable, finish
        What simplifies; what makes the forward equations finite at any score; what is done last, to a whole
        right-hand side: by default `minus_enters`.
    last
        What is done last to a whole forward equation.

    Returns
    -------
    Derived
        In the order forward, loss, backward. What is declared of a parameter holds where it is, not around it, so it
        is used in derivatives only: tr(S'A) has the derivative A by a symmetric S, although S' = S.
    """
    wanted = list(parameters)
    first = stable if any(w.value.facts for w in wanted) else (*stable, *rules)
    equations, definitions, forward_steps = _stable_forward(forward, first, last if first is not stable else ())
    called = {d.args[0]: d for d in definitions if not is_atom(d.args[0])}
    rewriter = Rewriter((*names_are_used(called), *rules))
    loss = definitions[-1]
    named = _who_is_named(loss, wanted, keep)
    via = _ways_down(loss, named)
    backward: list[Equation] = []
    steps: list[Step] = []

    trail: dict[Node, dict[Step, None]] = {}  # the steps to a node from the named ones above it

    def settle(node: Node, G: Node) -> Node:
        if node is loss:
            return G
        before = len(rewriter.steps)
        G = rewriter(G)
        way = trail.setdefault(node, {})
        way |= dict.fromkeys(rewriter.steps[before:])
        if node not in named or (node not in wanted and _is_number(G)):
            return G  # its steps belong to the next equation, where it is put in
        name, tidy = f"d{node.name}", G
        for last in FINISHING if finish is None else finish:
            plain, tidy = tidy, last(tidy)
            if tidy is not plain:
                way[Step(last.__name__, plain, tidy, identity=last.__doc__ or "")] = None
        steps.extend(replace(s, equation=name) for s in way)
        way.clear()
        backward.append(Equation(name, tidy, node.shape, via[node], "backward"))
        return define(name, tidy)

    def passed(node: Node, i: int, G: Node, part: Node) -> None:
        way = trail.setdefault(node.args[i], {})
        way |= trail.get(node, {})
        if part is not G:
            way[Step(node.op.rule or "coefficient", G, part, via=(node, i))] = None

    adjoint = sweep({loss: full(1, (1, 1))}, wanted, settle, passed=passed)
    backward.extend(
        Equation(f"d{w.name}", full(0, w.shape), w.shape, "the loss does not depend on it", "backward")
        for w in wanted
        if w not in adjoint
    )
    return Derived((*equations, *_in_reading_order(backward, wanted)), (*forward_steps, *steps))


def _in_reading_order(backward: list[Equation], wanted: Iterable[Node]) -> list[Equation]:
    """Each parameter's derivative right after the error signal it comes from, whatever else the loss adds to it."""
    results = {f"d{w.name}" for w in wanted}
    spine = [e for e in backward if e.name not in results]
    place = {e.name: i for i, e in enumerate(spine, 1)}
    after: list[list[Equation]] = [[], *([e] for e in spine)]
    for e in (e for e in backward if e.name in results):
        used = (place.get(n.name or "", 0) for n in toposort_to_names(e.expression))
        after[max(used)].append(e)
    return [e for group in after for e in group]


def _stable_forward(
    forward: Sequence[tuple[Node, str, Phase]], rules: Sequence[Rule], last: Sequence[Callable[[Node], Node]]
) -> tuple[list[Equation], list[Node], list[Step]]:
    """The forward equations in their stable forms, each rewritten alone, later ones referring to the new ones."""
    rewriter = Rewriter(rules)
    renewed: dict[Node, Node] = {}
    equations: list[Equation] = []
    for node, rule, phase in forward:
        assert node.op is define_op
        rewriter.equation = node.value
        body = renamed(node.args[0], renewed)
        tidy = _finished(rewriter(body), last, rewriter)
        renewed[node] = define(node.value, tidy)
        equations.append(Equation(node.value, tidy, node.shape, rule, phase))
    return equations, [renewed[node] for node, _, _ in forward], rewriter.steps


def _finished(tidy: Node, last: Sequence[Callable[[Node], Node]], rewriter: Rewriter) -> Node:
    for each in last:
        before, tidy = tidy, each(tidy)
        if tidy is not before:
            rewriter.steps.append(Step(each.__name__, before, tidy, rewriter.equation, identity=each.__doc__ or ""))
    return tidy


def _is_number(G: Node) -> bool:
    """A constant adjoint is put in where it is used: a name would say less."""
    return (G.args[0] if G.op is scale_op else G).op is full_op


def _who_is_named(loss: Node, wanted: Collection[Node], keep: Collection[str]) -> set[Node]:
    """Parameters, the names to keep, and names whose adjoint the chain rule uses twice."""
    order = list(toposort(loss))
    moves = set(wanted)
    for node in order:
        if any(a in moves for a in node.args):
            moves.add(node)
    named = set(wanted)
    for node in order:
        if node.op is define_op and node in moves and node is not loss:
            inner = node.args[0]
            twice = sum(a in moves for a in inner.args) > 1 or (
                is_function(inner) and function_of(inner).axis is not None
            )
            if node.value in keep or twice:
                named.add(node)
    return named


def _ways_down(loss: Node, named: set[Node]) -> dict[Node, str]:
    """In words, the rules by which the adjoint of each named node comes from those above it."""
    above: dict[Node, dict[str, None]] = {loss: {}}
    nodes = list(toposort(loss))
    examples = {n.shape[0] for n in nodes if n.op is symbol_op and n.value.role == "target"}
    for node in reversed(nodes):
        ways = {} if node in named or node is loss else above.get(node, {})
        word = _word(node, examples)
        for arg in node.args:
            above.setdefault(arg, {}).update({**ways, **({word: None} if word else {})})
    return {node: ", ".join(above.get(node, {})) or "chain rule" for node in named}


def _word(node: Node, examples: Collection[Size]) -> str:
    """What the chain rule does on the way from a node to its operands, where it is worth saying."""
    if node.op is matmul_op:
        left, right = node.args
        if is_ones_column(left) or is_ones_row(right):  # what is added to every row, or to every column
            size, lines = (node.shape[0], "rows") if is_ones_column(left) else (node.shape[1], "columns")
            return f"sum over {'examples' if size in examples else lines}"
        return "" if is_ones_column(right) else "product"
    return node.op.rule if is_function(node) else ""
