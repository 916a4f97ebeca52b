"""One entry of an equation, by index: in words, in symbols, in numbers. Indices count from 0, as in the programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from chainrule.calls import shown
from chainrule.derive import Equation
from chainrule.errors import ShapeError
from chainrule.expr import (
    Node,
    Symbol,
    add_op,
    apply,
    fraction,
    full,
    full_op,
    hadamard_op,
    is_atom,
    matmul_op,
    ones_op,
    scale,
    scale_op,
    symbol_op,
    transpose_op,
)
from chainrule.functions import function_of, is_function
from chainrule.layers import is_whole
from chainrule.render.alphabet import ATOM, SUM, Notation
from chainrule.render.latex import GAPS, LINE, alphabet
from chainrule.render.lines import Piece, Written, broken, joined
from chainrule.render.notation import compose
from chainrule.render.numbers import ratio
from chainrule.render.text import TEXT, WIDTH, formula, formula_lines, sentence_lines
from chainrule.render.words import MOST_TERMS, STACKS, in_words, part_of
from chainrule.render.worked import entries
from chainrule.rewrite import Rewriter, Step
from chainrule.rules import names_are_used
from chainrule.shapes import show

Array = np.ndarray[Any, np.dtype[np.float64]]
MOST_LINES = 8  # of an entry written out


def check_entry(e: Equation, i: int, j: int, counts: Callable[[Any], int]) -> None:
    """An entry is named by two whole numbers, and is inside its matrix."""
    for index in (i, j):
        if not is_whole(index):
            raise TypeError(f"the row and the column of an entry are whole numbers from 0, got {shown(index)}")
    rows, columns = map(counts, e.shape)
    if not (0 <= i < rows and 0 <= j < columns):
        raise ShapeError(f"{e.name} is {show((rows, columns))}: it has no entry [{i},{j}]; indices count from 0")


# ---- as a formula of entries

Key = tuple[Node, int, int]


@dataclass(frozen=True)
class EntryFormula:
    """An entry as an expression of 1 x 1 symbols, and what each of these stands for; None for terms left out."""

    expression: Node
    symbols: Mapping[str, Key | None]


def entry_formula(root: Node, i: int, j: int, counts: Callable[[Any], int]) -> EntryFormula:
    """An entry written out over entries of what has a name; long sums are elided."""
    made: dict[Key, Node] = {}
    symbols: dict[str, Key | None] = {}

    def symbol(key: Key | None) -> Node:
        name = f"_{len(symbols)}"
        symbols[name] = key
        return apply(symbol_op, shape=(1, 1), value=Symbol(name))

    stack = [(root, i, j)]
    while stack:
        key = stack[-1]
        if key in made:
            stack.pop()
            continue
        pairs = [(b, r, c) for b, r, c in _needed(*key, counts)]
        if todo := [k for k in pairs if k not in made]:
            stack.extend(todo)
        else:
            made[key] = _made(key, [made[k] for k in pairs], symbol, counts)
            stack.pop()
    return EntryFormula(made[root, i, j], symbols)


def _is_leaf(node: Node) -> bool:
    return is_atom(node) or (is_function(node) and not function_of(node).elementwise)


def _needed(node: Node, i: int, j: int, counts: Callable[[Any], int]) -> list[Key]:
    """The entries of operands that an entry is made of."""
    if _is_leaf(node):
        return []
    if node.op is transpose_op:
        return [(node.args[0], j, i)]
    if node.op in STACKS:
        return [part_of(node, i, j)]
    if node.op is matmul_op:
        a, b = node.args
        keys = [((a, i, k), (b, k, j)) for k in _terms(counts(a.shape[1])) if k is not None]
        return [key for pair in keys for key in pair]
    return [(a, i, j) if a.shape == node.shape else (a, 0, 0) for a in node.args]


def _terms(count: int) -> list[int | None]:
    return list(range(count)) if count <= MOST_TERMS else [*range(MOST_TERMS - 1), None, count - 1]


def _made(key: Key, parts: list[Node], symbol: Callable[[Key | None], Node], counts: Callable[[Any], int]) -> Node:
    node = key[0]
    if _is_leaf(node):
        return symbol(key)
    if node.op is full_op or node.op is ones_op:
        return full(1.0 if node.op is ones_op else node.value, (1, 1))
    if node.op is transpose_op or node.op in STACKS:
        return parts[0]
    if node.op is not matmul_op:
        if node.op is scale_op:
            return _multiple(node, parts, symbol)
        return _times(*parts) if node.op is hadamard_op else apply(node.op, *parts, value=node.value)
    products = [_times(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    places = _terms(counts(node.args[0].shape[1]))
    if None in places:
        products.insert(places.index(None), symbol(None))
    total = products[0] if products else full(0, (1, 1))
    for p in products[1:]:
        total = apply(add_op, total, p)
    return total


def _multiple(node: Node, parts: list[Node], symbol: Callable[[Key | None], Node]) -> Node:
    """A coefficient before an entry: numbers and scalars multiply it, and what divides it stays below."""
    number, exponents = node.value
    powers = list(zip(node.args[1:], parts[1:], exponents, strict=True))
    below = Fraction(1, ratio(abs(number))[1])
    above = scale(full(1, (1, 1)), abs(number) / below, *((s, e) for s, _, e in powers if e > 0 and is_atom(s)))
    entry = parts[0] if above is full(1, (1, 1)) else _times(symbol((above, 0, 0)), parts[0])
    for s, part, e in reversed(powers):
        if e > 0 and not is_atom(s):  # 1 - beta1 is no name: it is written out, too
            entry = _times(part if e == 1 else scale(full(1, (1, 1)), 1, (part, e)), entry)
    return scale(entry, below if number > 0 else -below, *((part, e) for _, part, e in powers if e < 0))


def _times(a: Node, b: Node) -> Node:
    """A product of numbers, of which a factor 1 is not written."""
    one = full(1, (1, 1))
    return b if a is one else a if b is one else apply(hadamard_op, a, b)


# ---- written


def entry_text(e: Equation, i: int, j: int, values: Mapping[str, Array], digits: int, reasons: Sequence[str]) -> str:
    """In words, in symbols and in numbers, within 80 columns."""
    scalars, result = _looked_up(e, i, j, values)
    place = f"{e.name}[{i},{j}]"
    lines = formula_lines(e.expression, f"{e.name} = ")
    lines += sentence_lines(f"{place} is {in_words(e.expression, i, j)}", 0, 2)
    numbers, worth = (
        numbers_in(scalars, TEXT, lambda node: values[str(node.name)], digits),
        entries([result], digits)[0],
    )
    for written in (symbols_in(scalars, TEXT, formula, "{0}[{1}]"), *([numbers] if numbers.text != worth else [])):
        first, *more = broken(written.pieces, WIDTH - 4, WIDTH - 4, lambda piece: 0, TEXT.space)
        cut = more if len(more) < MOST_LINES else [*more[: MOST_LINES - 2], (Piece("...", 3),)]
        lines += [f"  = {joined(first)}", *(f"    {joined(line)}" for line in cut)]
    lines.append(f"  = {worth}")
    return "\n".join([*lines, *(line for reason in reasons for line in sentence_lines(reason, 2))])


def shares(
    e: Equation,
    steps: Iterable[Step],
    i: int,
    j: int,
    values: Mapping[str, Array],
    digits: int,
    names: Mapping[Node, Node],
) -> list[str]:
    """What a function of whole rows or columns passes on to an entry, in symbols and in numbers, where e says less.

    `names` are those that equations give to expressions.
    """
    said = []
    for s in steps:
        if s.via is None or not is_function(s.via[0]) or function_of(s.via[0]).axis is None:
            continue
        after = Rewriter(names_are_used(names))(s.after)
        if after.shape != e.shape or formula(after) == formula(e.expression):
            continue
        scalars, _ = _looked_up(replace(e, expression=after), i, j, values)
        symbols = symbols_in(scalars, TEXT, formula, "{0}[{1}]").text
        numbers = numbers_in(scalars, TEXT, lambda node: values[str(node.name)], digits).text
        said.append(f"what comes back from all of them is [{i},{j}] of {formula(after)}: {symbols} = {numbers}")
    return said


def entry_latex(e: Equation, i: int, j: int, values: Mapping[str, Array], digits: int, reasons: Sequence[str]) -> str:
    """The same as a display that needs amsmath only; the reasons are for the text."""
    scalars, result = _looked_up(e, i, j, values)
    to = alphabet(known=values.keys())

    def name(node: Node) -> str:
        return compose(node, to).text

    left = f"({to.name(e.name).text})_{{{i},{j}}}"
    rows = []
    numbers, worth = numbers_in(scalars, to, lambda node: values[str(node.name)], digits), entries([result], digits)[0]
    for written in (symbols_in(scalars, to, name, "({0})_{{{1}}}"), *([numbers] if numbers.text != worth else [])):
        first, *more = broken(written.pieces, LINE - 2 * GAPS, LINE - 2 * GAPS, lambda piece: 2, to.space)
        rows += [rf"  &= {joined(first)}", *(rf"  &\quad {joined(line)}" for line in more)]
    body = " \\\\\n".join([*rows, f"  &= {worth}"])
    return f"\\begin{{align*}}\n  {left}\n{body}\n\\end{{align*}}"


def _looked_up(e: Equation, i: int, j: int, values: Mapping[str, Array]) -> tuple[EntryFormula, float]:
    n = values["n"].item()
    count = lambda size: int(n) if isinstance(size, str) else int(size)
    check_entry(e, i, j, count)
    return entry_formula(e.expression, i, j, count), float(values[e.name][i, j])


def symbols_in(formula: EntryFormula, to: Notation, name: Callable[[Node], str], index: str) -> Written:
    """The formula in symbols: dZ2[0,1], or in LaTeX with the index below."""

    def called(key: Key | None) -> str:
        if key is None:
            return DOTS[to is not TEXT]
        node, i, j = key
        if not _is_leaf(node):
            return compose(node, to).text
        if is_atom(node):
            return name(node) if node.shape == (1, 1) else index.format(name(node), f"{i},{j}")
        rowwise = function_of(node).axis
        line = index.format(name(node.args[0]), f"{i},:" if rowwise else f":,{j}")
        return index.format(f"{_function_name(node, to)}({line})", str(j if rowwise else i))

    return _composed(formula, to, lambda key: Written((Piece(text := called(key), to.measure(text)),), ATOM))


def numbers_in(formula: EntryFormula, to: Notation, value: Callable[[Node], Array], digits: int) -> Written:
    """The formula in numbers."""

    def written(key: Key | None) -> Written:
        if key is None:
            return Written((Piece(DOTS[to is not TEXT], 3),), ATOM)
        node, i, j = key
        if not _is_leaf(node):
            number = _coefficient(node, value)
        elif is_atom(node):
            array = value(node)
            number = array.item() if array.size == 1 else array[i, j]
        else:
            rowwise = function_of(node).axis
            array = value(node.args[0])
            line = entries((array[i] if rowwise else array[:, j]).tolist(), digits)
            listed = ", ".join(line if len(line) <= MOST_TERMS else [*line[:3], DOTS[to is not TEXT], line[-1]])
            text = f"{_function_name(node, to)}([{listed}])[{j if rowwise else i}]"
            return Written((Piece(text, to.measure(text)),), ATOM)
        text = entries([float(number)], digits)[0]
        return Written((Piece(text, to.measure(text)),), ATOM if number >= 0 else SUM)

    return _composed(formula, to, written, numbers=True)


def _coefficient(node: Node, value: Callable[[Node], Array]) -> float:
    k = float(node.value if node.op is full_op else node.value[0] * fraction(node.args[0].value))
    for s, e in zip(node.args[1:], node.value[1] if node.op is scale_op else (), strict=True):
        k *= float(value(s).item()) ** e
    return k


DOTS = ("...", r"\cdots")


def _function_name(node: Node, to: Notation) -> str:
    plain = node.op.name.removesuffix(".twin")
    return plain if to is TEXT else rf"\operatorname{{{plain.replace('_', ' ')}}}"


def _composed(
    formula: EntryFormula, to: Notation, written: Callable[[Key | None], Written], *, numbers: bool = False
) -> Written:
    """In the notation of numbers: their product is a dot, also in a coefficient where it is made of numbers."""
    dot = "·" if to is TEXT else r"\cdot"
    dotted = replace(to, hadamard=dot, times=f" {dot} " if numbers else to.times)
    return compose(formula.expression, replace(dotted, name=lambda name: written(formula.symbols[name])))
