"""Conventions are data: one derivation, its names re-read. Nothing is derived twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from chainrule.derive import Derived, Equation
from chainrule.expr import (
    Node,
    add_op,
    define,
    full,
    hadamard_op,
    is_atom,
    matmul_op,
    rebuild,
    scale,
    scale_op,
    symbol_op,
    toposort_to_names,
    turned,
    walk,
)
from chainrule.rewrite import Rewriter, Rule, Step
from chainrule.rules import ALGEBRA, minus_enters

Factor = tuple[Fraction, tuple[tuple[Node, int], ...]]  # a number and powers of 1 x 1 scalars
ONE: Factor = (Fraction(1), ())


def reissue(
    derived: Derived,
    flip: Callable[[str], bool],
    factor: Callable[[str], Factor] = lambda name: ONE,
    rules: Sequence[Rule] = ALGEBRA,
) -> Derived:
    """The same derivation, every name N now standing for factor(N) N, transposed where flip(N).

    Each name in each equation is replaced by what it stands for in the new reading; then the equation is transposed
    and scaled to give the new meaning of the name on its left, and tidied by the same rules.
    """
    rewriter = Rewriter(rules)
    old: dict[Node, Node] = {}  # an expression in the old names -> the same value in the new names
    equations: list[Equation] = []

    def turn(node: Node, name: str) -> Node:
        return (_scalar_turned(node) if node.shape == (1, 1) else node.T) if flip(name) else node

    def in_new_names(root: Node) -> Node:
        for node in toposort_to_names(root):
            if node in old:
                continue
            if node.op is symbol_op:
                name = node.value.name
                number, powers = factor(name)
                new = turned(node) if flip(name) and node.shape != (1, 1) else node
                old[node] = scale(turn(new, name), 1 / number, *((s, -e) for s, e in powers))
            else:
                assert not is_atom(node), f"{node.name} is used before its equation"
                old[node] = rebuild(node, tuple(old[a] for a in node.args))
        return old[root]

    for e in derived.equations:
        rewriter.equation = e.name
        number, powers = factor(e.name)
        carried = scale(in_new_names(e.expression), number, *powers)
        raw = turn(carried, e.name)
        if raw.shape == (1, 1) and raw is not carried:
            rewriter.steps.append(Step("a_scalar_is_its_own_transpose", carried, raw, e.name))
        plain = rewriter(raw)
        tidy = minus_enters(plain) if e.phase != "forward" else plain
        if tidy is not plain:
            rewriter.steps.append(Step(minus_enters.__name__, plain, tidy, e.name))
        new = define(e.name, tidy)
        old[e.node] = scale(turn(new, e.name), 1 / number, *((s, -k) for s, k in powers))
        equations.append(replace(e, expression=tidy, shape=new.shape))
    unit = full(1, (1, 1))
    factors = {e.name: scale(unit, number, *powers) for e in equations for number, powers in [factor(e.name)]}
    changed = {name: k for name, k in factors.items() if k is not unit}
    turned_names = frozenset(str(node.name) for node in old if is_atom(node) and flip(str(node.name)))
    return Derived(tuple(equations), (*derived.steps, *rewriter.steps), changed, derived, turned_names)


def _scalar_turned(root: Node) -> Node:
    """s' = s for a 1 x 1 matrix: (a B c)' = c' B' a', so that what is inside is read in the new layout."""
    sums = (add_op, scale_op, hadamard_op)
    new: dict[Node, Node] = {}
    for node in walk([root], lambda n: n.args if n.op in sums else ()):
        if node.op is matmul_op:
            new[node] = node.args[1].T @ node.args[0].T
        else:
            new[node] = rebuild(node, tuple(new[a] for a in node.args)) if node.op in sums else node
    return new[root]


def columns(name: str) -> bool:
    """Columns layout turns every matrix: one example is one column."""
    return True
