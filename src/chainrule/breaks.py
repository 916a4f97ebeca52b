"""Where a loss has no derivative: kinks, ties and jumps of its functions, in words, and at given values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from chainrule.adjoint import moving, sweep
from chainrule.algebra import constant
from chainrule.errors import DerivationError
from chainrule.evaluate import evaluate, evaluate_all
from chainrule.expr import Node, apply, full, matrix, toposort
from chainrule.functions import function_of, is_function
from chainrule.identities import ANY
from chainrule.render.numbers import number_text
from chainrule.render.text import text
from chainrule.rewrite import Rewriter

KINK, JUMP, POLE, BEND = "has a kink", "jumps", "has an infinite slope", "has a second derivative that jumps"
UNDEFINED = "there its derivative is not defined"


def where_not_differentiable(loss: Node, wrt: Iterable[Node], twice: bool = False) -> list[str]:
    """In words, where the loss may have no derivative by these, or no second one, and what stands for one there."""
    found: dict[str, None] = {}
    for node in moving(toposort(loss), wrt):
        for what, places in _breaks(node, twice).items():
            at = " or ".join(number_text(p, exact=True) for p in places)
            found[f"{text(node)} {what} where {text(node.args[0])} is {at}: {_used(node, what, places)}"] = None
        if _meet(node):
            counts = _said(node.args[0 if _slope(node, 0) else 1])
            found[f"{text(node)} {KINK} where {_meeting(node)}: there its derivative is that of {counts}"] = None
        elif _has_ties(node):
            what, there = (JUMP, UNDEFINED) if function_of(node).ties == "jump" else (KINK, "there the first counts")
            found[f"{text(node)} {what} where {_tied(node)} are equal: {there}"] = None
    return list(found)


def refuse_breaks(loss: Node, wrt: Iterable[Node], values: Mapping[str, Any], twice: bool = False) -> None:
    """Raise where a function is at a kink that the loss feels, at a pole, where it jumps, or is infinite."""
    functions = [node for node in moving(toposort(loss), wrt) if is_function(node)]
    arrays = _arrays(functions, [loss], values)
    for node in functions:
        found = [_undefined(node, arrays), *_at_breaks(node, arrays, twice), _at_ties(node, arrays)]
        for what, hit, words in (each for each in found if each is not None):
            if what == KINK and not twice and hit.any():  # the chain rule holds where a slope is not used
                hit = hit & (evaluate_all([_adjoint(loss, node), loss], values)[0] != 0)  # the loss shows sizes
            if hit.any():
                where = {UNDEFINED: "", BEND: "not twice differentiable here: "}
                raise DerivationError(f"{where.get(what, 'not differentiable here: ')}{words}", node)


def refuse_infinite(equations: Mapping[str, Node], values: Mapping[str, Any]) -> None:
    """Raise where an equation, as it is written, is not finite, and name the function in it that is to blame."""
    roots = list(equations.values())  # of which one may show the sizes of another
    for (name, node), found in zip(equations.items(), evaluate_all(roots, values), strict=True):
        if not np.isfinite(found).all():
            functions = [n for n in toposort(node) if is_function(n)]
            arrays = _arrays(functions, roots, values)
            words = next((f": {hit[2]}" for n in functions if (hit := _undefined(n, arrays))), "")
            raise DerivationError(f"{name} is not finite here, as it is written{words}", node)


Hit = tuple[str, np.ndarray[Any, Any], str]  # what is there, at which entries of a function, in words


def _arrays(functions: Iterable[Node], roots: Iterable[Node], values: Mapping[str, Any]) -> dict[Node, Any]:
    """The values of functions and their operands, and of the roots they are in, which show the sizes."""
    wanted = list(dict.fromkeys([*(n for node in functions for n in (node, *node.args)), *roots]))
    return dict(zip(wanted, evaluate_all(wanted, values), strict=True))


def _undefined(node: Node, arrays: Mapping[Node, Any]) -> Hit | None:
    """Where a function of finite operands is not finite."""
    if not all(np.isfinite(arrays[a]).all() for a in node.args):
        return None
    hit = ~np.isfinite(arrays[node])
    if not hit.any():
        return None
    return UNDEFINED, hit, f"{text(node)} is not finite in {_first(hit)}{_there(node, hit, arrays)}"


def _there(node: Node, hit: np.ndarray[Any, Any], arrays: Mapping[Node, Any]) -> str:
    """The number that a function of every entry is taken of there."""
    if not function_of(node).elementwise:
        return ""
    row, column = np.argwhere(hit)[0]
    said = (f"{text(a)} is {number_text(float(arrays[a][row, column]))}" for a in node.args)
    return f", where {' and '.join(said)}"


def _at_breaks(node: Node, arrays: Mapping[Node, Any], twice: bool) -> Iterator[Hit]:
    """Where the operand of a function is at its kink, pole or jump."""
    operand = arrays[node.args[0]]
    whole = function_of(node).whole
    for what, place in ((what, place) for what, places in _breaks(node, twice).items() for place in places):
        hit = (operand == place).all(keepdims=True) if whole else operand == place
        if hit.any():
            entry = "" if whole else f"{_first(hit)} of "
            at = number_text(place, exact=True)
            yield what, hit, f"{node.op.rule} {what} at {at}, and {entry}{text(node.args[0])} is {at}"


def _at_ties(node: Node, arrays: Mapping[Node, Any]) -> Hit | None:
    """Where two operands are equal, or the largest entries of a line."""
    if _meet(node):
        hit = arrays[node.args[0]] == arrays[node.args[1]]
        entry = f", as in {_first(hit)} of it" if hit.any() else ""
        return KINK, hit, f"{text(node)} {KINK} where {_meeting(node)}{entry}"
    if not _has_ties(node):
        return None
    function, operand = function_of(node), arrays[node.args[0]]
    equal = operand == operand.max(axis=function.axis, keepdims=True)
    hit = np.sum(equal, axis=function.axis, keepdims=True) > 1
    return (JUMP if function.ties == "jump" else KINK), hit, f"{_tied(node)} are equal"


def _adjoint(loss: Node, node: Node) -> Node:
    """dloss/dnode."""
    return sweep({loss: full(1, loss.shape)}, [node], beyond=False).get(node, full(0, node.shape))


# ---- of one operand


def _breaks(node: Node, twice: bool) -> dict[str, tuple[float, ...]]:
    """Where a function has no derivative, or no second one, as values of its operand, by what it does there."""
    if not is_function(node):
        return {}
    function = function_of(node)
    found = {KINK: function.kinks(*node.value), JUMP: function.jumps(*node.value), POLE: function.poles(*node.value)}
    found |= {BEND: function.knots(*node.value)} if twice else {}
    return {what: places for what, places in found.items() if places}


def _used(node: Node, what: str, places: tuple[float, ...]) -> str:
    """What stands for a derivative where there is none."""
    if function_of(node).whole or what == POLE:
        return UNDEFINED
    if what == BEND:
        return "there it is not defined"
    if what == KINK:
        slopes = dict.fromkeys(number_text(_slope(node, place)) for place in places)
        return f"there its derivative is taken as {' or '.join(slopes)}"
    slope = Rewriter(ANY)(node.op.vjp(full(1, node.shape), node, 0))
    return f"{UNDEFINED}, elsewhere it is 0" if constant(slope) == 0 else UNDEFINED


def _slope(node: Node, place: float) -> float:
    """The derivative that the record of a function states by its first operand, where every operand is a number."""
    x = matrix("x", 1, 1)
    derivative = node.op.vjp(full(1, x.shape), apply(node.op, *(x for _ in node.args), value=node.value), 0)
    return float(evaluate(derivative, {"x": np.full((1, 1), place)}).item())


# ---- of two operands, or of two entries


def _meet(node: Node) -> bool:
    return is_function(node) and function_of(node).ties == "kink" and len(node.args) == 2


def _meeting(node: Node) -> str:
    """a = b, or a is 0 where b is that number."""
    a, b = node.args if constant(node.args[0]) is None else node.args[::-1]
    return f"{_said(a)} {'=' if constant(b) is None else 'is'} {_said(b)}"


def _said(a: Node) -> str:
    """An operand, or the number that fills it."""
    k = constant(a)
    return text(a) if k is None else number_text(float(k), exact=True)


def _has_ties(node: Node) -> bool:
    function = function_of(node) if is_function(node) and len(node.args) == 1 else None
    return function is not None and bool(function.ties) and node.args[0].shape[function.axis or 0] != 1


def _tied(node: Node) -> str:
    return f"the largest entries of a {'row' if function_of(node).axis else 'column'} of {text(node.args[0])}"


def _first(hit: np.ndarray[Any, Any]) -> str:
    row, column = np.argwhere(hit)[0]  # counted from 0, as everywhere
    return f"entry [{row}, {column}]"
