"""What equations claim beyond their steps, as equalities to replay: that steps lead to them, and their update rule.

Nothing is judged here. A derivative dN is what the recorded steps pass on to N, added up; what no step passes on is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from chainrule.expr import Node, add_op, define_op, full, rebuild, scale, scale_op, symbol_op, toposort
from chainrule.updates import UPDATES

if TYPE_CHECKING:
    from chainrule.derive import Derived, Equation
    from chainrule.rewrite import Step

__all__ = ["Claim", "claims", "defined_by_rules", "last_loss", "listed", "symbols_by_name"]

ONE = full(1, (1, 1))
Shares = dict[Node, list[Node]]
Equal = Callable[[Node, Node], bool]


@dataclass(frozen=True)
class Claim:
    """Two expressions that are said to be equal, as a rewriting says it."""

    rule: str
    before: Node
    after: Node
    equation: str
    via: None = None


def claims(derived: Derived, equal: Equal) -> list[Claim]:
    """The equalities that make the steps lead to the equations; `equal` tells whether two values are the same."""
    found = (*_passed_on(derived, equal), *_updated(derived))
    return [c for c in dict.fromkeys(found) if c.before is not c.after]


def listed(equations: Iterable[Equation], listing: Iterable[Equation]) -> Iterator[Claim]:
    """That programs, which are printed from a listing, say the same as the equations."""
    said = {e.name: e.expression for e in equations}
    for e in listing:
        if said.get(e.name, e.expression) is not e.expression:
            yield Claim("listing", said[e.name], e.expression, e.name)


def last_loss(equations: Sequence[Equation]) -> Equation | None:
    """What is differentiated."""
    return next((e for e in reversed(equations) if e.phase == "loss"), None)


def symbols_by_name(equations: Iterable[Equation]) -> dict[str, Node]:
    """The symbols that equations are made of."""
    return {str(n.name): n for n in toposort(*(e.expression for e in equations)) if n.op is symbol_op}


def _times(derived: Derived, node: Node, name: str, by: str = "") -> Node:
    """A derivative named `by`, or by the loss alone, as it is multiplied on the way to `name`."""
    factors = derived.factors
    return scale(node, 1, *((factors[k], e) for k, e in ((name, 1), (by, -1)) if k in factors))


def _passed_on(derived: Derived, equal: Equal) -> Iterator[Claim]:
    """The sweep of the chain rule down from the loss, in which every share is what a step says it is."""
    named, symbols = {e.name: e for e in derived.equations}, symbols_by_name(derived.equations)
    loss, backward = last_loss(derived.equations), [e for e in derived.equations if e.phase == "backward"]
    if loss is None or not backward:
        return
    steps: dict[str, list[tuple[Step, Node, int]]] = {e.name: [] for e in backward}
    for s in derived.steps:
        if s.via is not None:
            steps.setdefault(s.equation, []).append((s, *s.via))

    def spread(shares: Shares, root: Node, share: Node) -> None:
        """A sum, and a name without an equation for its derivative, pass on what they get as it is, without a step."""
        stack = [root]
        while stack:
            node = stack.pop()
            shares.setdefault(node, []).append(share)
            if node.op is add_op or (node.op is define_op and f"d{node.value}" not in named):
                stack += node.args

    above: dict[Node, list[tuple[str, Node]]] = {}  # what a derivative with a name gives to what is below it
    for by in (f"d{e.name}" for e in derived.equations if f"d{e.name}" in named):
        below: Shares = {}
        spread(below, named[by.removeprefix("d")].expression, named[by].node)
        for node, shares in below.items():
            above.setdefault(node, []).extend((by, G) for G in shares)
    terms: Shares = {}  # of the loss
    spread(terms, loss.node, ONE)
    net_terms: list[Node] = []  # of net.loss, which may be a sum times a factor in the loss
    for term in terms:
        inner: Shares = {}
        spread(inner, body := term.args[0] if term.op is scale_op else term, ONE)
        parts = (part if body is term else rebuild(term, (part, *term.args[1:])) for part in inner)
        net_terms += [_times(derived, part, "", loss.name) for part in parts]
    if loss.name in derived.factors:  # the steps are about the loss without its factor
        terms = {}

    for name, way in steps.items():
        got: Shares = {}

        def arriving(node: Node, name: str = name, got: Shares = got) -> Node:
            shares = [*got.get(node, ()), *(_times(derived, G, name) for G in terms.get(node, ()))]
            shares += [_times(derived, G, name, by) for by, G in above.get(node, ())]
            return reduce(Node.__add__, shares) if shares else full(0, node.shape)

        for s, Y, i in way:
            places = (got, above, terms)
            alike = (K for each in places for K in each if K.shape == Y.shape and equal(K, Y))  # written in another way
            if (place := Y if any(Y in each for each in places) else next(alike, None)) is not None:
                expected = arriving(place)
            elif Y.shape == (1, 1) and equal(Y.args[i], net_terms[0]):  # it says what the loss is multiplied by
                continue
            else:
                is_term = Y.shape == (1, 1) and any(equal(Y, term) for term in net_terms)
                expected = _times(derived, full(is_term, Y.shape), name)
            yield Claim("chain rule", expected, s.before, name)
            spread(got, Y.args[i], s.after)
        of = name.removeprefix("d")
        V = named[of].node if of in named else symbols.get(of)
        said = named[name].expression if name in named else ONE  # steps may lead to what has no equation
        yield Claim("chain rule", arriving(V) if V is not None else full(0, said.shape), said, name)


def _updated(derived: Derived) -> Iterator[Claim]:
    """Every next value is what its update rule says."""
    named = {e.name: e for e in derived.equations}
    for rule, name, meant in defined_by_rules(derived):
        said = named[name].expression if name in named else full(0, meant.shape)
        yield Claim(f"the update rule {rule}", meant, said, name)


def defined_by_rules(derived: Derived) -> Iterator[tuple[str, str, Node]]:
    """The update rules in use, what they give a value to, and that value; they go down the loss."""
    named, symbols = {e.name: e for e in derived.equations}, symbols_by_name(derived.equations)
    loss, updates = last_loss(derived.equations), [e for e in derived.equations if e.phase == "update"]
    parameters = [p for p in symbols.values() if p.value.role == "parameter" and f"d{p.name}" in named]
    if loss is None or not updates:
        return
    gradients = [_times(derived, named[f"d{p.name}"].node, loss.name, f"d{p.name}") for p in parameters]
    rates = {p: symbols[f"lr_{p.name}"] for p in parameters if f"lr_{p.name}" in symbols}
    for rule in dict.fromkeys(e.rule for e in updates if e.rule in UPDATES):
        for item in UPDATES[rule].equations(list(zip(parameters, gradients, strict=True)), rates):
            yield rule, str(item.node.name), item.node.args[0]
