"""Equations with their numbers, in three lines as an engineer writes them: symbols, numbers, result; text and LaTeX.

A formula is composed as any other, with a stand-in for each matrix; then the stand-ins become the matrices.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from chainrule.derive import Equation
from chainrule.expr import (
    Node,
    Symbol,
    apply,
    is_atom,
    is_coefficient,
    rebuild,
    scale,
    scale_op,
    symbol_op,
    toposort_to_names,
    transpose_op,
)
from chainrule.render.alphabet import ATOM, PRODUCT, QUOTIENT, SUM, Notation
from chainrule.render.latex import GAPS, LINE, alphabet
from chainrule.render.lines import Piece, Written, broken, joined
from chainrule.render.notation import compose
from chainrule.render.text import TEXT, WIDTH, formula_lines
from chainrule.shapes import show

Array = np.ndarray[Any, np.dtype[np.float64]]
Groups = Sequence[tuple[str, Sequence[Equation]]]  # a heading and its equations

MOST_ROWS = 5  # larger matrices are elided
MOST_COLUMNS = (8, 6, 4)  # as many as leave room for a second matrix beside
STAND_IN = 0xE000  # private letters, one for each matrix
BLOCK = 34  # letters: a wider matrix is elided


def worked_text(groups: Groups, values: Mapping[str, Array], digits: int) -> str:
    """Every equation in symbols, in numbers, and its result, under headings, within 80 columns."""
    lines: list[str] = []
    for heading, equations in groups:
        lines.append(heading)
        for e in equations:
            lines += _symbols(e, values) + _numbers(e, values, digits) + [""]
    return "\n".join(line.rstrip() for line in lines).rstrip()


def _symbols(e: Equation, values: Mapping[str, Array]) -> list[str]:
    shape = show(values[e.name].shape)
    lines = formula_lines(e.expression, f"  {e.name} = ")
    if len(lines[-1]) + len(shape) + 2 <= WIDTH:
        return [*lines[:-1], lines[-1].ljust(WIDTH - len(shape)) + shape]
    return [*lines, shape.rjust(WIDTH)]


def _numbers(e: Equation, values: Mapping[str, Array], digits: int) -> list[str]:
    head = " " * (len(e.name) + 2) + " = "
    blocks: list[list[str]] = []

    def stand_in(array: Array, declared: bool = False) -> Written:
        block = block_text(array, digits)
        blocks.append(block)
        text = chr(STAND_IN + len(blocks) - 1) * len(block[0])
        return Written((Piece(text, len(text)),), _binds(array, declared))

    pieces = _composed(e.expression, values, TEXT, stand_in).pieces
    width = WIDTH - len(head)
    lines: list[str] = []
    if not is_atom(e.expression):
        for i, line in enumerate(broken(pieces, width, width, lambda piece: 2, TEXT.space)):
            lines += _expanded((head if i == 0 else " " * (len(head) + 2)) + joined(line), blocks)
    result = joined(stand_in(values[e.name]).pieces)
    return lines + _expanded(head + result, blocks)


def _expanded(line: str, blocks: Sequence[Sequence[str]]) -> list[str]:
    """A line with matrices for their stand-ins, each centered on the line."""
    present = {c: blocks[ord(c) - STAND_IN] for c in dict.fromkeys(line) if 0 <= ord(c) - STAND_IN < len(blocks)}
    height = max((len(b) for b in present.values()), default=1)
    middle = (height - 1) // 2
    rows = []
    for r in range(height):
        out, i = [], 0
        while i < len(line):
            block = present.get(line[i])
            if block is None:
                out.append(line[i] if r == middle else " ")
                i += 1
            else:
                at = r - middle + (len(block) - 1) // 2
                out.append(block[at] if 0 <= at < len(block) else " " * len(block[0]))
                i += len(block[0])
        rows.append("".join(out))
    return rows


def block_text(array: Array, digits: int) -> list[str]:
    """A matrix on lines of one width; a 1 x 1 matrix is its number; a large one is elided."""
    if array.size == 1:
        return [entries([array.item()], digits)[0]]
    blocks = (_block(array, digits, most) for most in MOST_COLUMNS)
    *_, narrowest = narrower = list(blocks)
    return next((b for b in narrower if len(b[0]) <= BLOCK), narrowest)


def _block(array: Array, digits: int, columns: int) -> list[str]:
    rows, across = _shown(array.shape[0], MOST_ROWS), _shown(array.shape[1], columns)
    cells = _written(array, digits, rows, across)
    widths = [max(len(line[j]) for line in cells) for j in range(len(across))]
    return [f"[{' '.join(c.rjust(w) for c, w in zip(line, widths, strict=True))}]" for line in cells]


def _written(array: Array, digits: int, rows: Sequence[int | None], across: Sequence[int | None]) -> list[list[str]]:
    """The entries shown, with one number of decimals; None stands for what is left out."""
    shown = array[np.ix_([i for i in rows if i is not None], [j for j in across if j is not None])]
    words = iter(entries(shown.ravel().tolist(), digits))
    return [
        [("⋱" if j is None else "⋮") if i is None else "…" if j is None else next(words) for j in across] for i in rows
    ]


def _shown(count: int, most: int) -> list[int | None]:
    """The indices shown of so many; None for those left out."""
    return list(range(count)) if count <= most else [*range(most - 2), None, count - 1]


def entries(values: Sequence[float], digits: int) -> list[str]:
    """Numbers with so many significant digits in the smallest, all with the same decimals, without idle zeros."""
    sizes = [abs(v) for v in values if v and math.isfinite(v)]
    if not sizes:
        return [f"{v + 0:g}" for v in values]
    low, high = min(sizes), max(sizes)
    if low < 1e-4 * min(high, 1) or high < 1e-3 or high >= 10**6:
        return [f"{v:.{digits}g}" for v in values]
    decimals = max(digits - 1 - math.floor(math.log10(low)), 0)
    words = [f"{v:.{decimals}f}" for v in values]
    while (dotted := [w for w in words if "." in w]) and all(w.endswith(("0", ".")) for w in dotted):
        words = [w[:-1] if "." in w else w for w in words]
    return [w if float(w) else w.removeprefix("-") for w in words]


def _binds(array: Array, declared: bool) -> int:
    """A number stands in brackets beside another factor; a declared one, such as lr, not in front of a matrix."""
    if array.size != 1:
        return ATOM
    return SUM if array.item() < 0 else PRODUCT if declared else QUOTIENT


def _composed(expression: Node, values: Mapping[str, Array], to: Notation, stand_in: Any) -> Written:
    """A formula in which every name, or transposed name, is a stand-in for its numbers."""
    new: dict[Node, Node] = {}
    arrays: dict[str, tuple[Array, bool]] = {}

    def fresh(node: Node, array: Array) -> Node:
        name = f"_{len(arrays)}"
        arrays[name] = array, is_coefficient(node)
        return apply(symbol_op, shape=node.shape, value=Symbol(name))

    for node in toposort_to_names(expression):
        if is_atom(node):
            new[node] = fresh(node, values[str(node.name)])
        elif node.op is transpose_op and is_atom(node.args[0]):
            new[node] = fresh(node, values[str(node.args[0].name)].T)
        elif node.op is scale_op:
            new[node] = _with_counts(node, new, values)
        else:
            new[node] = rebuild(node, tuple(new[a] for a in node.args))
    return compose(new[expression], replace(to, name=lambda name: stand_in(*arrays[name])))


def _with_counts(node: Node, new: Mapping[Node, Node], values: Mapping[str, Array]) -> Node:
    """A coefficient in which the number of examples is a number: 1/(2 n) is 1/8 where n is 4."""
    number, exponents = node.value
    powers = []
    for s, e in zip(node.args[1:], exponents, strict=True):
        if s.op is symbol_op and s.value.role == "size":
            number *= Fraction(int(values[str(s.name)].item())) ** e
        else:
            powers.append((new[s], e))
    return scale(new[node.args[0]], number, *powers)


# ---- LaTeX


def worked_latex(groups: Groups, values: Mapping[str, Array], digits: int) -> str:
    """The same as displays that need amsmath only."""
    to = alphabet(known=values.keys())
    parts = []
    for heading, equations in groups:
        rows = [rf"  &\textit{{{line}}}" for line in textwrap.wrap(heading, int(LINE - GAPS))]
        for e in equations:
            symbols = broken(compose(e.expression, to).pieces, LINE - GAPS, LINE - GAPS, lambda piece: 2, to.space)
            rows.append(f"  {to.name(e.name).text} &= " + " \\\\\n  &\\quad ".join(map(joined, symbols)))
            if not is_atom(e.expression):
                rows += _latex_numbers(e, values, digits, to)
            rows.append(rf"  &= {matrix_latex(values[e.name], digits)}")
        parts.append("\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}")
    return "\n\n".join(parts)


def _latex_numbers(e: Equation, values: Mapping[str, Array], digits: int, to: Notation) -> Iterable[str]:
    def stand_in(array: Array, declared: bool) -> Written:
        latex = matrix_latex(array, digits)
        longest = max(latex.split(r" \\ "), key=len)  # with the space between its columns, and its brackets
        width = len(longest.replace(r"\begin{bmatrix}", "").replace(r"\end{bmatrix}", "")) + 2
        return Written((Piece(latex, width),), _binds(array, declared), tall=len(array) > 1)

    pieces = _composed(e.expression, values, to, stand_in).pieces
    first, *more = broken(pieces, LINE - GAPS, LINE - GAPS, lambda piece: 2, to.space)
    yield f"  &= {joined(first)}"
    yield from (rf"  &\quad {joined(line)}" for line in more)


def matrix_latex(array: Array, digits: int) -> str:
    r"""A matrix as bmatrix, elided when large."""
    if array.size == 1:
        return entries([array.item()], digits)[0]
    cells = _written(array, digits, _shown(array.shape[0], MOST_ROWS), _shown(array.shape[1], MOST_COLUMNS[-1]))
    dots = {"⋱": r"\ddots", "⋮": r"\vdots", "…": r"\cdots"}
    body = r" \\ ".join(" & ".join(dots.get(c, c) for c in row) for row in cells)
    return rf"\begin{{bmatrix}} {body} \end{{bmatrix}}"
