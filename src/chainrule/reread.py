"""The steps of a derivation in the names of another reading: what was done to a matrix is done to its transpose.

Here is no derivative: every step of the chain rule is read, and is then one of the operation it is read as.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from chainrule.expr import (
    Node,
    add_op,
    apply,
    define_op,
    full,
    hadamard_op,
    is_atom,
    matmul_op,
    rebuild,
    scale,
    scale_op,
    transpose_op,
    walk,
)
from chainrule.functions import function_of, is_function
from chainrule.line_sums import MIRRORED
from chainrule.rewrite import MULTIPLE, Rewriter, Step, on
from chainrule.rules import numbers_leave_products
from chainrule.stack import block, block_op, bounds, hstack, hstack_op, vstack, vstack_op
from chainrule.transposes import blocks_go_inward, transposes_go_inward

ONE = full(1, (1, 1))
Place = tuple[Node, int]  # an operation, and which of its operands


class Rereading:
    """What has no name of its own lies as the examples do: all of it is turned, or nothing is.

    `in_new_names(node)` has the value of a node, `multiplied(node, name)` times what a name is multiplied by; `loss` is
    the loss in the old names.
    """

    def __init__(
        self,
        in_new_names: Callable[[Node], Node],
        multiplied: Callable[[Node, str], Node],
        *,
        loss: Node,
        turned: bool,
    ) -> None:
        self._in_new_names, self._multiplied, self._loss, self._turned = in_new_names, multiplied, loss, turned
        self._tidy = Rewriter((transposes_go_inward, numbers_leave_products, multiples_leave_sums, blocks_go_inward))

    def steps(self, old: Iterable[Step]) -> Iterator[Step]:
        """The same steps, without those that only moved a number or a transpose which now stands elsewhere."""
        started = False
        for s in old:
            if s.before is ONE and s.via is not None and not started:
                started = True
                yield from self._start(s.equation)
            new = self._rewriting(s) if s.via is None else self._passed_on(s, *s.via)
            if new.before is not new.after or new.via is not None:
                yield new

    def _start(self, name: str) -> Iterator[Step]:
        """What the chain starts from, where a name stands for a multiple of the derivative by the loss."""
        if (k := self._multiplied(ONE, name)) is not ONE:
            loss = self._in_new_names(self._loss)
            own = loss if is_atom(loss) else apply(define_op, loss, value="net.loss")
            yield Step(MULTIPLE, ONE, k, name, via=(self._multiplied(own, name), 0))

    def read(self, node: Node) -> Node:
        """An expression without a name of its own."""
        return self.laid(self._in_new_names(node))

    def carried(self, node: Node, name: str) -> Node:
        """A derivative on the way to `name`, multiplied as it is."""
        return self.laid(self._multiplied(self._in_new_names(node), name))

    def laid(self, new: Node) -> Node:
        """An expression in the new names, turned as the examples are, its numbers and transposes where they stand."""
        if self._turned:
            new = scalar_turned(new) if new.shape == (1, 1) else new.T
        return self._tidy(new)

    def _rewriting(self, s: Step) -> Step:
        """A coefficient that both sides have says nothing."""
        before, after = self.read(s.before), self.read(s.after)
        if before.op is scale_op is after.op and (before.value, before.args[1:]) == (after.value, after.args[1:]):
            before, after = before.args[0], after.args[0]
        new = replace(s, before=before, after=after)
        if self._turned and (rule := MIRRORED.get(s.rule)) is not None:
            new = replace(new, rule=rule.__name__, identity=rule.__doc__ or "")
        return new

    def _passed_on(self, s: Step, Y: Node, i: int) -> Step:
        if (via := self._operation(Y, i)) is not None:
            before, after = (self.carried(node, s.equation) for node in (s.before, s.after))
            return replace(s, before=before, after=after, via=via)
        args = tuple(map(self._in_new_names, Y.args))  # a function of the whole stays as it was
        before, after = map(self._in_new_names, (s.before, s.after))
        return replace(s, before=before, after=after, via=(rebuild(Y, args), i))

    def _operation(self, Y: Node, i: int) -> Place | None:
        """The operation on what its operands are read as."""
        if not self._turned:
            return apply(Y.op, *map(self.read, Y.args), value=Y.value), i
        if is_function(Y) and function_of(Y).whole:
            return None
        args = tuple(map(self.read, Y.args))
        if Y.op is matmul_op:
            return apply(matmul_op, *args[::-1]), 1 - i
        if Y.op in (hstack_op, vstack_op):
            return (vstack if Y.op is hstack_op else hstack)(*args), i
        if Y.op is block_op:
            rows, columns = bounds(Y)
            return block(args[0], columns, rows), i
        return apply(function_of(Y).twin.op if is_function(Y) else Y.op, *args, value=Y.value), i


@on(add_op)
def multiples_leave_sums(node: Node) -> Node | None:
    """kA + kB = k(A + B), k being a number or its powers of scalars, such as 1/n."""
    a, b = node.args
    if not (a.op is scale_op is b.op and (a.value[1], a.args[1:]) == (b.value[1], b.args[1:])):
        return None
    (number, exponents), (other, _) = a.value, b.value
    powers = zip(a.args[1:], exponents, strict=True)
    if number == other:
        return scale(a.args[0] + b.args[0], number, *powers)
    return scale(scale(a.args[0], number) + scale(b.args[0], other), 1, *powers) if exponents else None


def scalar_turned(root: Node) -> Node:
    """s' = s for a 1 x 1 matrix: (a B c)' = c' B' a', so that what is inside is read in the new layout."""
    sums = (add_op, scale_op, hadamard_op)
    new: dict[Node, Node] = {}
    for node in walk([root], lambda n: n.args if n.op in sums else ()):
        if node.op is matmul_op:
            new[node] = node.args[1].T @ node.args[0].T
        else:
            new[node] = rebuild(node, tuple(new[a] for a in node.args)) if node.op in sums else node
    return new[root]


def transposed_parameter(operand: Node, G: Node, equation: str) -> Step:
    """From the derivative by W', as the layer uses it, to that by W."""
    return Step(transpose_op.rule, G, G.T, equation, via=(operand, 0))
