"""Why a step is right, in one sentence: the identity it uses, or by which indices a derivative is passed on.

A transpose is read off the indices of a product, never off shapes that happen to fit; where shapes would not have
decided, `also_fits` says what else would fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chainrule.derive import Equation
from chainrule.expr import (
    Node,
    full,
    hadamard_op,
    is_atom,
    matmul_op,
    scale,
    scale_op,
    toposort_to_names,
    transpose_op,
)
from chainrule.functions import function_of, is_function
from chainrule.layers import ROWS
from chainrule.render.notation import is_ones
from chainrule.render.text import formula
from chainrule.rewrite import Step
from chainrule.shapes import show
from chainrule.stack import block_op, hstack_op, vstack_op

BRACKETED = (transpose_op, hstack_op, vstack_op, block_op)  # clear without more brackets
LONG = 18  # letters: a longer factor is spoken of, not repeated


def why(step: Step) -> str:
    """One sentence about a step."""
    if step.via is None:
        return " ".join((step.identity or step.rule.replace("_", " ")).split()).removesuffix(".")
    Y, i = step.via
    if Y.op is matmul_op:
        return _of_product(step, Y, i)
    if Y.op is scale_op:
        return _of_coefficient(Y, i)
    if Y.op is transpose_op:
        return "entry [j,i] of a transpose is entry [i,j] of what it transposes"
    if Y.op is hadamard_op:
        other = _called(Y.args[1 - i], "the other factor")
        return f"entry by entry: [i,j] of {_called(Y.args[i], 'one factor')} meets only [i,j] of {other}"
    if Y.op in (hstack_op, vstack_op):
        return f"each entry of {_called(Y.args[i], 'a part')} stands once in the stack: its block of the derivative"
    if Y.op is block_op:
        return (
            f"each entry of the block is one of {_called(Y.args[i], 'the whole')}: what is beside it has derivative 0"
        )
    function = function_of(Y)
    if function.whole:
        return f"{step.rule}: every entry may depend on every entry of {_called(Y.args[i], 'its operand')}"
    if function.axis is None:
        here = f"[i,j] of {_called(Y, step.rule)} depends on [i,j] of {_called(Y.args[i], 'its operand')} alone"
        return f"{here}: times the slope of {step.rule}"
    line = "row" if function.axis else "column"
    return f"{step.rule} mixes the entries of one {line} and no two {line}s: its Jacobian is applied {line} by {line}"


def _of_product(step: Step, Y: Node, i: int) -> str:
    """By indices, what a factor of A B has to do with G, the derivative by the product."""
    A, B = Y.args
    G, other = _called(step.before, "G"), Y.args[1 - i]
    if is_ones(other) and (i == 1) == (other.op is not transpose_op):  # 1 b, or c 1'
        line, index, over = ("row", "[0,j]", "i") if i else ("column", "[i,0]", "j")
        summed = f"the sum of {G}[i,j] over {over} is {_called(step.after, 'its share')}"
        return f"{_called(Y.args[i], 'it')}{index} is added in every {line}: {summed}"
    if is_ones(other):
        return f"entries of a {'column' if i else 'row'} are added up, each once: each has the derivative of the sum"
    a, b, after = _called(A, "A"), _called(B, "B"), _called(step.after, "the share")
    if i:
        return (
            f"{b}[k,j] meets {a}[i,k] in every row i of {a} {b}: the sum of {a}[i,k] {G}[i,j] over i "
            f"is [k,j] of {after}"
        )
    return (
        f"{a}[i,k] meets {b}[k,j] in every column j of {a} {b}: the sum of {G}[i,j] {b}[k,j] over j is [i,k] of {after}"
    )


def _of_coefficient(Y: Node, i: int) -> str:
    number, exponents = Y.value
    k = formula(scale(full(1, (1, 1)), number, *zip(Y.args[1:], exponents, strict=True)))
    return f"a factor {k} stays" if i == 0 else f"the factor {k} changes with {_called(Y.args[i], 'its scalar')}"


def _called(node: Node, otherwise: str) -> str:
    """A factor as it is written, if that is short."""
    written = str(node.name) if is_atom(node) else formula(node)
    bracketed = written if is_atom(node) or node.op in BRACKETED or is_function(node) else f"({written})"
    short = bracketed if node.op is not matmul_op else written
    return short if len(short) <= LONG else otherwise


def also_fits(step: Step) -> tuple[str, ...]:
    """Other products of the same two matrices that have the right shape: where there are, shapes prove nothing."""
    if step.via is None or step.via[0].op is not matmul_op:
        return ()
    Y, i = step.via
    factor, G, wanted = Y.args[1 - i], step.before, Y.args[i].shape
    if is_ones(factor) or factor.shape == (1, 1) or G.shape == (1, 1):
        return ()
    found = []
    for first in (factor, factor.T, G, G.T):
        for second in (G, G.T) if first in (factor, factor.T) else (factor, factor.T):
            if first.shape[1] == second.shape[0] and (first.shape[0], second.shape[1]) == wanted:
                product = first @ second
                if product is not step.after:
                    found.append(formula(product))
    return tuple(found)


def warning(step: Step) -> str:
    """A sentence where square shapes would let another product pass, else nothing."""
    others = also_fits(step)
    if not others or step.via is None:
        return ""
    Y, i = step.via
    return f"shapes do not decide here: {', '.join(others)} would be {show(Y.args[i].shape)} too"


def reached(name: str, equations: Iterable[Equation], steps: Iterable[Step]) -> str:
    """Through which equations the loss depends on a name, and what brings the derivative there, in one sentence."""
    users = list(_users(name, equations))
    if not users:
        return f"the loss does not depend on {name}"
    through = [e.name for e in users if e.phase != "loss"]
    directly = len(through) < len(users)
    if not through:
        return f"{name} enters the loss itself"
    only = "only " if len(users) == 1 else ""
    way = f"the loss reaches {name} {only}through {' and '.join(through)}{', and directly' if directly else ''}"
    products = (s for s in steps if s.via and s.via[0].op is matmul_op and is_atom(s.before) and s.before.name)
    return way + "".join(f"; {formula(s.after)} {_brings(s)}" for s in products)


def _brings(s: Step) -> str:
    assert s.via is not None
    Y, i = s.via
    if Y.shape[i == 0] == ROWS:  # the summed index counts the examples
        return f"collects it over the {'rows' if i else 'columns'}"
    return f"brings it back from {str(s.before.name)[1:]}"


def _users(name: str, equations: Iterable[Equation]) -> Iterator[Equation]:
    """The equations that use a name and that the loss is made of."""
    said = {e.name: e for e in equations if e.phase in ("forward", "loss")}
    used = {e.name: {str(n.name) for n in toposort_to_names(e.expression) if is_atom(n)} for e in said.values()}
    needed = {e.name for e in said.values() if e.phase == "loss"}
    for e in reversed(said):
        needed |= used[e] if e in needed else set()
    return (e for e in said.values() if e.name in needed and name in used[e.name])
