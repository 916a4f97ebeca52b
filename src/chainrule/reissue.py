"""One derivation, its names re-read: transposed, multiplied. Nothing is derived twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from chainrule.derive import Derived, Equation
from chainrule.expr import (
    Node,
    define,
    full,
    is_atom,
    rebuild,
    scale,
    symbol_op,
    toposort,
    toposort_to_names,
    turned,
)
from chainrule.reread import Rereading, scalar_turned
from chainrule.rewrite import Later, Rewriter, Rule, Step
from chainrule.rules import FINISHING, RENEWED
from chainrule.transposes import transposes_go_inward

Factor = tuple[Fraction, tuple[tuple[Node, int], ...]]  # a number and powers of 1 x 1 scalars
ONE: Factor = (Fraction(1), ())
SCALAR = "s' = s for a 1 x 1 matrix s"


@dataclass(frozen=True)
class Names:
    """What an expression in the old names is in the new ones."""

    flip: Callable[[str], bool]
    factor: Callable[[str], Factor]
    known: dict[Node, Node] = field(default_factory=dict)

    def __call__(self, root: Node) -> Node:
        """The same value."""
        for node in toposort_to_names(root):
            if node in self.known:
                continue
            if node.op is symbol_op:
                name = node.value.name
                new = turned(node) if self.flip(name) and node.shape != (1, 1) else node
                self.known[node] = _divided(self.turn(new, name), *self.factor(name))
            else:
                assert not is_atom(node), f"{node.name} is used before its equation"
                self.known[node] = rebuild(node, tuple(self.known[a] for a in node.args))
        return self.known[root]

    def turn(self, node: Node, name: str) -> Node:
        """Transposed, where the name is."""
        return (scalar_turned(node) if node.shape == (1, 1) else node.T) if self.flip(name) else node

    def multiple(self, name: str) -> Factor:
        """What a name is multiplied by, in the new names."""
        number, bases = self.factor(name)
        return number, tuple((self(base), exponent) for base, exponent in bases)

    def multiplied(self, node: Node, name: str) -> Node:
        """An expression in the new names, multiplied as a name is."""
        multiple = self.multiple(name)
        return node if multiple == ONE else scale(node, multiple[0], *multiple[1])

    def add(self, e: Equation, new: Node) -> None:
        """An equation, and its name in the new reading."""
        self.known[e.node] = _divided(self.turn(new, e.name), *self.multiple(e.name))


def reissue(
    derived: Derived,
    flip: Callable[[str], bool],
    factor: Callable[[str], Factor] = lambda name: ONE,
    rules: Sequence[Rule] = RENEWED,
) -> Derived:
    """The same derivation, every name N now standing for factor(N) N, transposed where flip(N).

    Each name in each equation is replaced by what it stands for in the new reading; then the equation is transposed
    and scaled to give the new meaning of the name on its left, and tidied by the same rules; and so is every step. The
    scalars of a factor are names of the old reading, too.
    """
    inward, rewriter = Rewriter((transposes_go_inward,)), Rewriter(rules)
    names = Names(flip, factor)
    loss = next(e for e in derived.equations if e.phase == "loss")
    symbols = {str(n.name): n for n in toposort(*(e.expression for e in derived.equations)) if n.op is symbol_op}
    rereading = Rereading(names, names.multiplied, loss=loss.node, flip=flip, symbols=symbols)
    own: dict[str, list[Step]] = {}  # what is left to do to each equation, when its steps have been read
    equations: list[Equation] = []
    factors: dict[str, Node] = {}

    for e in derived.equations:
        inward.equation = rewriter.equation = e.name
        steps = own[e.name] = []
        carried = names.multiplied(names(e.expression), e.name)
        raw = names.turn(carried, e.name)
        if e.phase == "backward":
            raw = rereading.laid(carried, rereading.turned(e.name))  # its steps have been read as they are
        elif raw.shape == (1, 1) and raw is not carried:
            steps.append(Step("a_scalar_is_its_own_transpose", carried, raw, e.name, identity=SCALAR))
        tidy = rewriter(inward(raw))  # first of all, so that nothing is collected both ways round
        steps += inward.steps
        steps += rewriter.steps
        inward.steps, rewriter.steps = [], []
        for finish in FINISHING if e.phase == "backward" else ():
            before, tidy = tidy, finish(tidy)
            if tidy is not before:
                steps.append(Step(finish.__name__, before, tidy, e.name, identity=finish.__doc__ or ""))
        new = define(e.name, tidy)
        names.add(e, new)
        equations.append(replace(e, expression=tidy, shape=new.shape))
        if (multiple := names.multiple(e.name)) != ONE:
            factors[e.name] = scale(full(1, (1, 1)), multiple[0], *multiple[1])
    return Derived(tuple(equations), Later(lambda: _all_steps(derived, rereading, own)), factors, derived)


def _all_steps(derived: Derived, rereading: Rereading, own: Mapping[str, Sequence[Step]]) -> Iterator[Step]:
    """By equation, what was done in the old names, read in the new ones, and what was done then."""
    was: dict[str, list[Step]] = {}
    for s in derived.steps:
        was.setdefault(s.equation, []).append(s)
    for name, steps in own.items():
        yield from rereading.steps(was.get(name, ()))
        yield from steps


def _divided(node: Node, number: Fraction, powers: tuple[tuple[Node, int], ...]) -> Node:
    if (number, powers) == ONE:
        return node
    return scale(node, 1 / number, *((base, -exponent) for base, exponent in powers))
