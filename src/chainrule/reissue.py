"""One derivation, its names re-read: transposed, multiplied. Nothing is derived twice."""

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
from chainrule.rules import FINISHING, RENEWED
from chainrule.transposes import transposes_go_inward

Factor = tuple[Fraction, tuple[tuple[Node, int], ...]]  # a number and powers of 1 x 1 scalars
ONE: Factor = (Fraction(1), ())


def reissue(
    derived: Derived,
    flip: Callable[[str], bool],
    factor: Callable[[str], Factor] = lambda name: ONE,
    rules: Sequence[Rule] = RENEWED,
) -> Derived:
    """The same derivation, every name N now standing for factor(N) N, transposed where flip(N).

    Each name in each equation is replaced by what it stands for in the new reading; then the equation is transposed
    and scaled to give the new meaning of the name on its left, and tidied by the same rules. The scalars of a factor
    are names of the old reading, too.
    """
    inward, rewriter = Rewriter((transposes_go_inward,)), Rewriter(rules)
    steps: list[Step] = []
    old: dict[Node, Node] = {}  # an expression in the old names -> the same value in the new names
    equations: list[Equation] = []
    factors: dict[str, Node] = {}

    def turn(node: Node, name: str) -> Node:
        return (_scalar_turned(node) if node.shape == (1, 1) else node.T) if flip(name) else node

    def in_new_names(root: Node) -> Node:
        for node in toposort_to_names(root):
            if node in old:
                continue
            if node.op is symbol_op:
                name = node.value.name
                new = turned(node) if flip(name) and node.shape != (1, 1) else node
                old[node] = _divided(turn(new, name), *factor(name))
            else:
                assert not is_atom(node), f"{node.name} is used before its equation"
                old[node] = rebuild(node, tuple(old[a] for a in node.args))
        return old[root]

    for e in derived.equations:
        inward.equation = rewriter.equation = e.name
        body = in_new_names(e.expression)
        number, bases = factor(e.name)
        powers = tuple((in_new_names(base), exponent) for base, exponent in bases)
        carried = body if (number, powers) == ONE else scale(body, number, *powers)
        raw = turn(carried, e.name)
        if raw.shape == (1, 1) and raw is not carried:
            steps.append(Step("a_scalar_is_its_own_transpose", carried, raw, e.name))
        tidy = rewriter(inward(raw))  # first of all, so that nothing is collected both ways round
        steps += inward.steps
        steps += rewriter.steps
        inward.steps, rewriter.steps = [], []
        for finish in FINISHING if e.phase == "backward" else ():
            before, tidy = tidy, finish(tidy)
            if tidy is not before:
                steps.append(Step(finish.__name__, before, tidy, e.name, identity=finish.__doc__ or ""))
        new = define(e.name, tidy)
        old[e.node] = _divided(turn(new, e.name), number, powers)
        equations.append(replace(e, expression=tidy, shape=new.shape))
        if (number, powers) != ONE:
            factors[e.name] = scale(full(1, (1, 1)), number, *powers)
    return Derived(tuple(equations), (*derived.steps, *steps), factors, derived)


def _divided(node: Node, number: Fraction, powers: tuple[tuple[Node, int], ...]) -> Node:
    if (number, powers) == ONE:
        return node
    return scale(node, 1 / number, *((base, -exponent) for base, exponent in powers))


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
