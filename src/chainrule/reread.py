"""The steps of a derivation in the names of another reading: what was done to a matrix is done to its transpose.

Here is no derivative: every step of the chain rule is read, and is then one of the operation it is read as.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from chainrule.coefficients import numbers_are_coefficients
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
    toposort_to_names,
    transpose_op,
    walk,
)
from chainrule.functions import function_of, is_function
from chainrule.layers import ROWS
from chainrule.line_sums import MIRRORED
from chainrule.rewrite import MULTIPLE, Rewriter, Step, on
from chainrule.rules import numbers_leave_products
from chainrule.stack import block, block_op, bounds, hstack, hstack_op, vstack, vstack_op
from chainrule.transposes import blocks_go_inward, transposes_go_inward

ONE = full(1, (1, 1))
Place = tuple[Node, int]  # an operation, and which of its operands


class Rereading:
    """What has no name of its own lies as the examples do: all of it is turned, or nothing is.

    What is of one parameter alone, as a penalty is, lies as the parameter does, and so does the derivative by it.
    `in_new_names(node)` has the value of a node, `multiplied(node, name)` times what a name is multiplied by; `loss` is
    the loss in the old names, `flip(name)` says what is turned, and `symbols` are those of the old names.
    """

    def __init__(
        self,
        in_new_names: Callable[[Node], Node],
        multiplied: Callable[[Node, str], Node],
        *,
        loss: Node,
        flip: Callable[[str], bool],
        symbols: Mapping[str, Node],
    ) -> None:
        self._in_new_names, self._multiplied, self._loss = in_new_names, multiplied, loss
        self._flip, self._symbols = flip, symbols
        self._examples = flip(str(loss.name))
        self._tidy = Rewriter(TIDY)

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
            if new.via is not None and s.via is not None:
                yield from self._by_the_parameter(s.equation, s.via[0].args[s.via[1]], new)

    def _by_the_parameter(self, name: str, operand: Node, s: Step) -> Iterator[Step]:
        """From the derivative by W', as the layer uses it, to that by W."""
        assert s.via is not None
        used = s.via[0].args[s.via[1]]
        if used.op is transpose_op and operand is self._parameter(name):
            yield Step(transpose_op.rule, s.after, s.after.T, name, via=(used, 0))
            tidy = Rewriter(TIDY)
            tidy.equation = name
            tidy(s.after.T)
            yield from tidy.steps

    def _parameter(self, name: str) -> Node | None:
        """What an equation is the derivative by, if that is no name of the derivation."""
        return self._symbols.get(name.removeprefix("d")) if name.startswith("d") else None

    def turned(self, name: str) -> bool:
        """Is what an equation says turned?"""
        of = self._parameter(name)
        return self._examples if of is None else self._flip(str(of.name))

    def _start(self, name: str) -> Iterator[Step]:
        """What the chain starts from, where a name stands for a multiple of the derivative by the loss."""
        if (k := self._multiplied(ONE, name)) is not ONE:
            loss = self._in_new_names(self._loss)
            own = loss if is_atom(loss) else apply(define_op, loss, value="net.loss")
            yield Step(MULTIPLE, ONE, k, name, via=(self._multiplied(own, name), 0))

    def _read(self, node: Node, turned: bool) -> Node:
        """An expression without a name of its own."""
        return self.laid(self._in_new_names(node), turned)

    def _carried(self, node: Node, name: str, turned: bool) -> Node:
        """A derivative on the way to `name`, multiplied as it is."""
        return self.laid(self._multiplied(self._in_new_names(node), name), turned)

    def laid(self, new: Node, turned: bool) -> Node:
        """An expression in the new names, turned or not, its numbers and transposes where they stand."""
        if turned:
            new = scalar_turned(new) if new.shape == (1, 1) else new.T
        return self._tidy(new)

    def _rewriting(self, s: Step) -> Step:
        """A coefficient that both sides have says nothing."""
        turned = self.turned(s.equation)
        before, after = self._read(s.before, turned), self._read(s.after, turned)
        if before.op is scale_op is after.op and (before.value, before.args[1:]) == (after.value, after.args[1:]):
            before, after = before.args[0], after.args[0]
        new = replace(s, before=before, after=after)
        if turned and (rule := MIRRORED.get(s.rule)) is not None:
            new = replace(new, rule=rule.__name__, identity=rule.__doc__ or "")
        return new

    def _passed_on(self, s: Step, Y: Node, i: int) -> Step:
        of = self._parameter(s.equation)
        alone = of is not None and not any(map(_of_examples, (Y, *Y.args))) and _names(Y, s.before) <= {of.name}
        turned = self.turned(s.equation) if alone else self._examples
        if (via := self._operation(Y, i, turned)) is not None:
            before, after = (self._carried(node, s.equation, turned) for node in (s.before, s.after))
            return replace(s, before=before, after=after, via=via)
        args = tuple(map(self._in_new_names, Y.args))  # a function of the whole stays as it was
        before, after = map(self._in_new_names, (s.before, s.after))
        return replace(s, before=before, after=after, via=(rebuild(Y, args), i))

    def _operation(self, Y: Node, i: int, turned: bool) -> Place | None:
        """The operation on what its operands are read as."""
        args = tuple(self._read(a, turned) for a in Y.args)
        if not turned:
            return apply(Y.op, *args, value=Y.value), i
        if is_function(Y) and function_of(Y).whole:
            return None
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


def _of_examples(node: Node) -> bool:
    return ROWS in node.shape


def _names(*roots: Node) -> set[object]:
    """Of matrices; a coefficient lies as one wants."""
    return {n.name for n in toposort_to_names(*roots) if is_atom(n) and n.shape != (1, 1)}


TIDY = (
    transposes_go_inward,
    numbers_leave_products,
    numbers_are_coefficients,
    multiples_leave_sums,
    blocks_go_inward,
)


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
