"""A product whose only use is a step of plain descent is added in place: W - lr X' dZ is one product with beta = 1."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.engine.numbers import Numbers
from chainrule.engine.resolve import core, is_number
from chainrule.engine.schedule import Instruction, Loop, Root, walk_inlined
from chainrule.engine.words import PLUS
from chainrule.expr import Node, add_op, hadamard_op, scale_op


@dataclass(frozen=True)
class Fold:
    """Target <- alpha product + beta target; alpha and beta are slots of plain numbers."""

    root: Root
    alpha: int
    beta: int


def folds(loop: Loop, stored: set[Node], numbers: Numbers) -> dict[Instruction, Fold]:
    """The products and sums of a loop that go straight into what a MAP of it would commit."""
    found: dict[Instruction, Fold] = {}
    for at, i in enumerate(loop.body):
        if i.kind not in ("gemm", "column_sums"):
            continue
        readers = [j for j in loop.body if i.out in j.reads]
        if len(readers) != 1 or readers[0].kind != "map" or any(f.root in readers[0].roots for f in found.values()):
            continue
        others = {n for j in loop.body[at + 1 :] if j is not readers[0] for n in j.reads}
        fold = _fold(i.out, readers[0], others, stored, numbers)
        if fold is not None:
            found[i] = fold
    return found


def _fold(out: Node, reader: Instruction, others: set[Node], stored: set[Node], numbers: Numbers) -> Fold | None:
    inlined = walk_inlined(reader.roots, stored)
    for root in reader.roots:
        if root.kind != "commit" or root.target in others:
            continue
        assert root.target is not None
        terms, inside = _linear(root.node, (out, root.target), stored, numbers)
        if out not in terms:
            continue
        private = (inside - {root.node}) | {out, root.target}
        outside = [n for n in inlined if n not in inside]
        ends = [r.node for r in reader.roots if r is not root]
        if any(core(a) in private for n in outside for a in n.args) or any(n in private for n in ends):
            continue
        if root.node in ends:
            continue
        return Fold(root, terms[out], terms.get(root.target, numbers.constant(0.0)))
    return None


def _linear(
    node: Node, leaves: tuple[Node, Node], stored: set[Node], numbers: Numbers
) -> tuple[dict[Node, int], set[Node]]:
    """The coefficient of each leaf, and the nodes in between; no coefficients where it is more than a linear sum."""
    terms: dict[Node, int] = {}
    inside: set[Node] = set()
    stack = [(node, numbers.constant(1.0))]
    while stack:
        n, k = stack.pop()
        if n in leaves:
            terms[n] = numbers.emit(PLUS, terms[n], k) if n in terms else k
            continue
        number = next((a for a in n.args if is_number(a)), None) if n.op is hadamard_op else None
        if is_number(n) or (n in stored and n is not node) or n.op not in (add_op, scale_op, hadamard_op):
            return {}, inside
        inside.add(n)
        if n.op is add_op:
            stack += [(a, k) for a in n.args]
        elif n.op is scale_op:
            stack.append((n.args[0], numbers.product(k, numbers.coefficient(n))))
        elif number is not None:
            rest = n.args[1] if number is n.args[0] else n.args[0]
            stack.append((rest, numbers.product(k, numbers.number(number))))
        else:
            return {}, inside
    return terms, inside
