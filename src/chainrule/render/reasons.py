"""Why a step is right, in one sentence: the identity it uses, or by which indices a derivative is passed on.

A transpose is read off the indices of a product, never off shapes that happen to fit; where shapes would not have
decided, `also_fits` says what else would fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from chainrule.algebra import constant
from chainrule.coefficients import PLAIN
from chainrule.derive import Equation
from chainrule.expr import (
    Node,
    Symbol,
    apply,
    full,
    hadamard_op,
    is_atom,
    matmul_op,
    scale,
    scale_op,
    symbol_op,
    toposort_to_names,
    transpose_op,
)
from chainrule.functions import function_of, is_function
from chainrule.layers import ROWS
from chainrule.matrix_functions import is_identity, kron
from chainrule.render.notation import is_ones
from chainrule.render.text import spelt
from chainrule.rewrite import MULTIPLE, Rewriter, Step
from chainrule.shapes import Shape, show
from chainrule.stack import block_op, hstack_op, vstack_op
from chainrule.transposes import blocks_go_inward, transposes_go_inward

BRACKETED = (transpose_op, hstack_op, vstack_op, block_op)  # clear without more brackets
Index = int | str  # a number, or a letter for any
SIDES, ORDINALS = ("left", "right"), ("first", "second", "third")
LONG = 18  # letters: a longer factor is spoken of, not repeated


@dataclass(frozen=True)
class Shown:
    """A step with its reason; or several that only move numbers and brackets, in short."""

    title: str
    steps: Sequence[Step]  # whose formulas are shown
    sentences: Sequence[str] = ()
    so_far: Node | None = None  # the whole of which the steps changed a part


def plain(node: Node) -> Node:
    """An expression as a step shows it: a number in front, not as a matrix that is multiplied by."""
    return Rewriter(PLAIN)(node)


def plainly(step: Step) -> Step:
    """A step as it is shown."""
    return replace(step, before=plain(step.before), after=plain(step.after))


def why(step: Step, i: Index = "i", j: Index = "j") -> str:
    """One sentence about a step, for the entry [i,j] of what is differentiated by."""
    if step.via is None:
        return " ".join((step.identity or step.rule.replace("_", " ")).split()).removesuffix(".")
    Y, place = step.via
    step, operand = plainly(step), Y.args[place]
    if Y.op is matmul_op:
        return _of_product(step, Y, place, i, j)
    if Y.op is scale_op:
        return _of_the_whole(step, Y) if step.rule == MULTIPLE else _of_coefficient(Y, place)
    i, j = _index(operand.shape, i, j)
    if Y.op is transpose_op:
        return f"[{i},{j}] of {_called(operand, 'it')} is [{j},{i}] of its transpose"
    if Y.op is hadamard_op:
        one, other = _operand(Y, place, "one factor"), _operand(Y, 1 - place, "the other factor")
        return f"entry by entry: [{i},{j}] of {one} meets only [{i},{j}] of {other}"
    if Y.op in (hstack_op, vstack_op):
        return _of_stack(Y, place, i, j)
    if Y.op is block_op:
        return f"each entry of the block is one of {_called(operand, 'the whole')}: what is beside it has derivative 0"
    function = function_of(Y)
    if function.whole:
        names = (_operand(Y, k, f"the {ORDINALS[k]} operand" if k else "its operand") for k in range(len(Y.args)))
        return function.because[place].format(*names, Y=_called(Y, f"the {step.rule}"), i=i, j=j)
    if function.axis is None:
        here = f"[{i},{j}] of {_called(Y, step.rule)} depends on [{i},{j}] of {_operand(Y, place, 'its operand')} alone"
        return f"{here}: times the slope of {step.rule} there"
    line = "row" if function.axis else "column"
    if isinstance(place_of := i if function.axis else j, int):
        mixed, x = _called(Y, step.rule), _called(operand, "its operand")
        return f"{x}[{i},{j}] changes every entry of {line} {place_of} of {mixed}, and no other {line}"
    return f"{step.rule} mixes the entries of one {line} and no two {line}s: its Jacobian is applied {line} by {line}"


def _of_stack(Y: Node, place: int, i: Index, j: Index) -> str:
    """Where a part stands, and so which lines of the derivative are its own."""
    along = 1 if Y.op is hstack_op else 0
    first = sum(int(a.shape[along]) for a in Y.args[:place])
    last = first + int(Y.args[place].shape[along]) - 1
    at = [_plus(k, first if axis == along else 0) for axis, k in enumerate((i, j))]
    line = "column" if along else "row"
    lines = f"{line} {first}" if first == last else f"{line}s {first} to {last}"
    there = f"[{i},{j}] of {_operand(Y, place, 'a part')} is [{at[0]},{at[1]}] of {_called(Y, 'the stack')}"
    return f"{there}: of the derivative by that, {lines} {'is' if first == last else 'are'} its own"


def _plus(k: Index, offset: int) -> Index:
    return k + offset if isinstance(k, int) else f"{k}+{offset}" if offset else k


def _index(shape: Shape, i: Index, j: Index) -> tuple[Index, Index]:
    """An index of a single row or column is 0."""
    return 0 if shape[0] == 1 else i, 0 if shape[1] == 1 else j


def _of_product(step: Step, Y: Node, place: int, i: Index, j: Index) -> str:
    """By indices, what an entry of a factor of A B has to do with G, the derivative by the product."""
    operand, other = Y.args[place], Y.args[1 - place]
    adds_up = (place == 1) == (other.op is transpose_op)  # 1' M or M 1, not 1 b or c 1'
    if is_ones(other) and adds_up:
        added, line = (_called(operand, "A"), "column" if place else "row")
        total = f"{spelt(other)} {added}" if place else f"{added} {spelt(other)}"
        meant = f"; A is {spelt(operand)}" if added == "A" and len(spelt(operand)) <= 3 * LONG else ""
        return f"{total} adds up every {line}: each entry of {added} has the derivative of the sum of its {line}{meant}"
    of = operand.args[0] if operand.op is transpose_op else operand
    i, j = _index(of.shape, i, j)
    r, c = (j, i) if of is not operand else (i, j)  # its place in the product
    summed = Y.shape[place == 0]
    k = 0 if summed == 1 else "k"
    there, meets = ((r, k), (c, k)) if place == 0 else ((k, c), (k, r))
    G, coefficient = _bare(step.before), _coefficient(step.before)
    signal = "" if constant(G) else _entry(G, *there, "G")
    result = f"[{i},{j}] of {_spoken(passed_on(step))}"
    if is_ones(other):
        line = "row" if place else "column"
        added = f"{_entry(of, i, j, 'it')} is added in every {line} k"
        return f"{added}: the sum over k of {coefficient(signal)} is {result}"
    partner = _entry(other, *meets, "B" if place == 0 else "A")
    product = f"{_turned(Y.args[0], 'A')} {_turned(Y.args[1], 'B')}"
    meant = _meanings({"A": Y.args[0], "B": Y.args[1], "G": G})
    side = f"the {SIDES[place]} " if operand is other else ""
    met = (
        f"{side}{_entry(of, i, j, 'A' if place == 0 else 'B')} meets {partner} in [{there[0]},{there[1]}] of {product}"
    )
    terms = [signal, partner] if (place == 0) == (of is operand) else [partner, signal]
    passed = coefficient(" ".join(filter(None, terms)))
    if summed == 1:
        return f"{met} alone: {passed} is {result}{meant}"
    examples = summed == ROWS and (ROWS, ROWS) not in (operand.shape, other.shape)
    return f"{met}, for every {'example k' if examples else 'k'}: the sum over k of {passed} is {result}{meant}"


def _spoken(node: Node) -> str:
    written = spelt(node)
    return written if len(written) <= 2 * LONG else "the share"


def _turned(factor: Node, letter: str) -> str:
    """A factor as it is written, if that is short; else by a letter, which is turned as the factor is."""
    called = _called(factor, letter)
    return f"{_called(factor.args[0], letter)}'" if called == letter and factor.op is transpose_op else called


def _meanings(letters: Mapping[str, Node]) -> str:
    """What the letters stand for that were written for long formulas, if those may be repeated once."""
    bare = {letter: node.args[0] if node.op is transpose_op else node for letter, node in letters.items()}
    long = {letter: spelt(node) for letter, node in bare.items() if _called(node, "") == ""}
    return "".join(f"; {letter} is {written}" for letter, written in long.items() if len(written) <= 3 * LONG)


def _bare(G: Node) -> Node:
    """A derivative without its coefficient."""
    return G.args[0] if G.op is scale_op else G


def _coefficient(G: Node) -> Callable[[str], str]:
    """How a term is written that has the coefficient of a derivative, or the number that it is full of."""
    number, exponents = G.value if G.op is scale_op else (Fraction(1), ())
    powers = list(zip(G.args[1:], exponents, strict=True)) if G.op is scale_op else []
    number *= constant(_bare(G)) or 1
    return lambda term: spelt(scale(apply(symbol_op, shape=(1, 1), value=Symbol(term)), number, *powers))


def _entry(node: Node, r: Index, c: Index, otherwise: str) -> str:
    """An entry, of what is transposed by the other index."""
    if node.op is transpose_op:
        return _entry(node.args[0], c, r, otherwise)
    r, c = _index(node.shape, r, c)
    called = _called(node, otherwise)
    return f"({called})[{r},{c}]" if node.op is matmul_op and called != otherwise else f"{called}[{r},{c}]"


def passed_on(step: Step) -> Node:
    """What a product passes on to the matrix in it: of W' the derivative by W, its transposes at the names."""
    return _by_the_matrix(step, step.after)


def _by_the_matrix(step: Step, share: Node) -> Node:
    assert step.via is not None
    Y, i = step.via
    return Rewriter((transposes_go_inward,))(share.T) if Y.args[i].op is transpose_op else share


def _of_the_whole(step: Step, Y: Node) -> str:
    k = spelt(step.after)
    return f"{step.equation} is {k} times the derivative of {_called(Y.args[0], 'the loss')}: the chain starts from {k}"


def _of_coefficient(Y: Node, i: int) -> str:
    number, exponents = Y.value
    k = spelt(scale(full(1, (1, 1)), number, *zip(Y.args[1:], exponents, strict=True)))
    return f"a factor {k} stays" if i == 0 else f"the factor {k} changes with {_called(Y.args[i], 'its scalar')}"


def _called(node: Node, otherwise: str) -> str:
    """A factor as it is written, if that is short."""
    written = str(node.name) if is_atom(node) else spelt(node)
    closed = is_atom(node) or node.op in BRACKETED or (is_function(node) and node.op is not kron.op)
    bracketed = written if closed else f"({written})"
    short = bracketed if node.op is not matmul_op else written
    return short if len(short) <= LONG else otherwise


def _operand(Y: Node, place: int, otherwise: str) -> str:
    """An operand as it is written, and which one, where others are written alike."""
    operand = Y.args[place]
    called = _called(operand, otherwise)
    if sum(_called(a, otherwise) == called for a in Y.args) == 1:
        return called
    which = SIDES[place] if Y.op is hadamard_op else dict(enumerate(ORDINALS)).get(place, f"{place + 1}th")
    return f"the {which} {called.removeprefix('the ').removeprefix('one ').removeprefix('its ').removeprefix('a ')}"


def entry_reasons(e: Equation, steps: Iterable[Step], i: int, j: int) -> list[str]:
    """Why an entry of a derivative is what it is: by which indices it is passed on, and by which slopes multiplied."""
    said = []
    for s in steps:
        if s.via is not None and (_is_told(s.via[0]) or s in set(signals_passed_on([s]))):
            operand = s.via[0].args[s.via[1]]
            of = operand.args[0] if operand.op is transpose_op else operand
            turned = of is not operand and is_function(s.via[0])  # [i,j] of W is [j,i] of the W' that it is of
            place = (j, i) if turned else (i, j)
            first = of.args[0] if of.op in (hstack_op, vstack_op) else of  # its entries have the same indices in both
            said.append(why(s, *place) if first.shape == e.shape else why(s))
            said += [f"note: {found}"] if (found := warning(s)) else []
    return list(dict.fromkeys(said))


def _is_told(Y: Node) -> bool:
    return is_function(Y) or Y.op in (hstack_op, vstack_op)


def is_bookkeeping(step: Step) -> bool:
    """Does a rewriting only move numbers, brackets and transposes: are there the same names and functions before?"""
    return step.via is None and _meant(step.before) == _meant(step.after)


def _meant(root: Node) -> set[object]:
    """Names, and functions with what they are of, whatever is transposed."""
    found: set[object] = set()
    for node in toposort_to_names(root):
        if is_atom(node):
            found.add(node.name)
        elif is_function(node):
            bare = (a.args[0] if a.op is transpose_op else a for a in node.args)
            found.add((node.op.name.removesuffix(".twin"), node.value, *bare))
    return found


def also_fits(step: Step) -> tuple[str, ...]:
    """Other products of the same two matrices that have the right shape: where there are, shapes prove nothing."""
    if step.via is None or step.via[0].op is not matmul_op:
        return ()
    Y, i = step.via
    factor, G, wanted = Y.args[1 - i], _bare(step.before), Y.args[i].shape
    if is_ones(factor) or factor.shape == (1, 1) or G.shape == (1, 1) or is_identity(factor) or is_identity(G):
        return ()
    found = []
    for first in (factor, factor.T, G, G.T):
        for second in (G, G.T) if first in (factor, factor.T) else (factor, factor.T):
            if first.shape[1] == second.shape[0] and (first.shape[0], second.shape[1]) == wanted:
                product = first @ second
                if product is not _bare(step.after):
                    found.append(spelt(_by_the_matrix(step, product)))
    return tuple(found)


def warning(step: Step) -> str:
    """A sentence where square shapes would let another product pass, else nothing."""
    others = also_fits(step)
    return (
        f"shapes do not decide here: {', '.join(others)} would be {show(passed_on(step).shape)} too" if others else ""
    )


def reached(name: str, users: Sequence[Equation], steps: Iterable[Step]) -> str:
    """Through which equations, its users, the loss depends on a name, and what brings the derivative there."""
    if not users:
        return f"the loss does not depend on {name}"
    through = [e.name for e in users if e.phase != "loss"]
    directly = len(through) < len(users)
    if not through:
        return f"{name} enters the loss itself"
    only = "only " if len(users) == 1 else ""
    way = f"the loss reaches {name} {only}through {' and '.join(through)}{', and directly' if directly else ''}"
    steps = list(steps)
    parts = {s.before: s.after for s in steps if s.via and s.via[0].op in (hstack_op, vstack_op)}
    inward = Rewriter((transposes_go_inward, blocks_go_inward))
    shares = ((s, inward(parts[s.after]) if s.after in parts else passed_on(s)) for s in signals_passed_on(steps))
    return way + "".join(f"; {spelt(share)} {_brings(s)}" for s, share in shares)


def signals_passed_on(steps: Iterable[Step]) -> Iterator[Step]:
    """The products on the way from one named derivative to the next."""
    return (s for s in steps if s.via and s.via[0].op is matmul_op and is_atom(_bare(s.before)))


def _brings(s: Step) -> str:
    assert s.via is not None
    Y, i = s.via
    if Y.shape[i == 0] == ROWS:  # the summed index counts the examples
        return f"collects it over the {'rows' if i else 'columns'}"
    return f"brings it back from {str(_bare(s.before).name).removeprefix('d')}"


def users_of(equations: Iterable[Equation]) -> dict[str, list[Equation]]:
    """For every name the equations that use it and that the loss is made of."""
    said = {e.name: e for e in equations if e.phase in ("forward", "loss")}
    used = {e.name: {str(n.name) for n in toposort_to_names(e.expression) if is_atom(n)} for e in said.values()}
    needed = {e.name for e in said.values() if e.phase == "loss"}
    users: dict[str, list[Equation]] = {}
    for e in reversed(said.values()):
        for name in used[e.name] if e.name in needed else ():
            needed.add(name)
            users.setdefault(name, []).insert(0, e)
    return users
