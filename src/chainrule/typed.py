"""Formulas as people type them, ``sum((X w - y)^2)``, made into expressions: `parse` is the public entry.

The grammar is in formula.py, what is known of shapes in reading.py. Here every part becomes a node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from chainrule.calls import check_text, shown
from chainrule.errors import DerivationError, ShapeError, SpecError, UnknownNameError, nearest
from chainrule.expr import FACTS, Node, apply, full, hadamard_op, matrix, scale, scale_op, size
from chainrule.formula import Part
from chainrule.matrix_functions import by, eye, kron, matrix_power, norm
from chainrule.operators import CALLS, total
from chainrule.primitives import power, reciprocal
from chainrule.reading import Reading
from chainrule.shapes import Shape, Size, check_size, show

Sized = Mapping[str, Any] | Iterable[str]
Value = Node | Fraction
NUMBER: Shape = (1, 1)
SHORTEST = min(map(len, FACTS))  # a shorter word is a size
LARGEST_POWER = 100  # of a matrix, which is a product of so many; a number's is exact up to here


@dataclass(frozen=True)
class Typed:
    """A typed formula as an expression, which `parse` makes.

    Attributes
    ----------
    expression : Node
    symbols : mapping of str to Node
        Every matrix in it, by name.
    inferred : tuple of str
        The names whose shapes nobody declared.
    notes : tuple of str
        What was decided where two readings were possible.
    text : str
    places : mapping of Node to (int, int)
        Where a part of the expression begins and ends in the text.
    """

    expression: Node
    symbols: Mapping[str, Node]
    inferred: tuple[str, ...]
    notes: tuple[str, ...]
    text: str
    places: Mapping[Node, tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)

    def __getitem__(self, name: str) -> Node:
        if name not in self.symbols:
            raise UnknownNameError(f"no matrix {name!r} in {self.text!r}{nearest(name, self.symbols)}")
        return self.symbols[name]

    def pointed(self, error: DerivationError) -> ValueError:
        """The error with carets under the part of the formula that is to blame, where that is known."""
        where = error.where
        known = [where, *where.args] if isinstance(where, Node) else []
        start, end = next((self.places[n] for n in known if n in self.places), (0, 0))
        return SpecError(str(error), self.text, start, end - start) if end else error


def parse(text: str, sizes: Sized = ()) -> Typed:
    """Read a typed formula; it is parsed by a grammar, never evaluated.

    Side by side or `@` is the matrix product, `.*` the product entry by entry, `'` or `.T` the transpose, `^` a power
    (the matrix power of a square matrix, else entry by entry, as `.^` always is), `^-1` the inverse, `||x||` the norm.
    A number below binds alone, `lam/2 x'x` is (lam/2) x'x; a name below is refused before what stands beside it.
    Functions are those of the rule book, and sum, mean, tr, det, logdet, inv, diag, vec, kron. Names in lower case are
    columns, or numbers where nothing else fits, unless their shape is declared; sizes that nobody declares follow from
    the formula. The whole is one number where it can be, else a matrix, of which there is no gradient, but `jvp` and
    `vjp`.

    Parameters
    ----------
    text : str
    sizes : mapping of str to shape, or iterable of str
        Such as `{"X": "n x d", "A": "n x n symmetric", "w": (4, 1)}` or `["X: n x d"]`. A fact may stand alone,
        `"Y: rows_sum_to_one"`, and the shape is inferred.

    Returns
    -------
    Typed
        With `expression`, and its matrices by name, such as `["w"]`.

    Raises
    ------
    SpecError
        On any mistake in a text, with carets under the mistake.
    ShapeError
        On a shape by name that is none.

    Examples
    --------
    >>> import chainrule as cr
    >>> f = cr.parse("sum((X w - y)^2) + lam ||w||^2")
    >>> f["w"].shape, f["lam"].shape
    (('d', 1), (1, 1))
    >>> cr.text(*cr.gradient(f.expression, f["w"]))
    "2 (lam w + X' (X w - y))"
    >>> f = cr.parse("tanh(X W)", ["X: n x d", "W: d x k"])
    >>> cr.text(cr.jvp(f.expression, {f["W"]: cr.matrix("V", "d", "k")}))
    '(X V) ∘ (1 - tanh(X W) ∘ tanh(X W))'
    """
    check_text("a formula", text, "sum((X w - y)^2)")
    declared = declarations(sizes)
    reading = Reading(text, {name: each.shape for name, each in declared.items() if each.shape})
    nobody = next((name for name in declared if name not in reading.symbols), None)
    if nobody is not None and nobody not in reading.counts:
        message = f"a size is declared for {nobody!r}, which is not in {text!r}{nearest(nobody, reading.symbols)}"
        if typed := declared[nobody].text:
            raise SpecError(message, typed, typed.index(nobody), len(nobody))
        raise UnknownNameError(message)
    needed = {p.args[1]: CALLS[p.word].facts for p in reading.parts if p.kind == "call" and CALLS[p.word].facts}
    symbols: dict[str, Node] = {}
    for place, part in enumerate(reading.parts):
        if part.kind == "name" and part.word in reading.symbols:
            shape = reading.shape(place)
            said = declared[part.word].facts if part.word in declared else ()
            symbols[part.word] = _symbol(reading, part, shape, said or needed.get(place, ()))
    notes: list[str] = []
    if reading.numbers:
        are = "is taken as a number" if len(reading.numbers) == 1 else "are taken as numbers"
        notes.append(f"{', '.join(reading.numbers)} {are}, because the whole must be one")
    whole, places = _node(reading, symbols, notes)
    inferred = tuple(name for name in symbols if name not in declared or not declared[name].shape)
    return Typed(whole, symbols, inferred, tuple(dict.fromkeys(notes)), text, places)


def _symbol(reading: Reading, part: Part, shape: Shape, facts: tuple[str, ...]) -> Node:
    """A matrix of which facts are declared, where they can hold; a column is one example."""
    if shape[1] == 1 != shape[0]:
        if "one_hot" in facts:
            facts = ("columns_sum_to_one", *facts)
        if "rows_sum_to_one" in facts:
            reading.fail(f"{part.word} is a column, whose rows are single entries: declare columns_sum_to_one", part)
    if "symmetric" in facts and shape[0] != shape[1]:
        reading.fail(f"{part.word} is declared symmetric, and is {show(shape)}", part)
    return matrix(part.word, *shape, facts=facts)


# ---- declared shapes


@dataclass(frozen=True)
class Declaration:
    """What somebody said of a name: its shape, or facts alone, and then the shape is inferred."""

    shape: Shape | None
    facts: tuple[str, ...] = ()
    text: str = ""  # as it was typed


def declarations(sizes: Sized) -> dict[str, Declaration]:
    """Shapes by name, from texts such as "X: n x d symmetric", or from a mapping."""
    if isinstance(sizes, str):
        sizes = [sizes]
    found: dict[str, Declaration] = {}
    if isinstance(sizes, Mapping):
        found = {name: _given(name, each) for name, each in sizes.items() if not isinstance(each, str)}
        sizes = [f"{name}: {each}" for name, each in sizes.items() if isinstance(each, str)]
    if not isinstance(sizes, Iterable):
        raise TypeError(f"sizes are texts such as ['X: n x d'], or shapes by name, got {shown(sizes)}")
    sizes = list(sizes)
    for each in sizes:
        check_text("a size", each, "X: n x d")
    for text in (part for each in sizes for part in each.split(";") if part.strip()):
        name, declared = _declaration(text)
        before = found.get(name, Declaration(None))
        if before.shape and declared.shape:
            raise SpecError(f"the shape of {name!r} is declared twice", text, text.index(name), len(name))
        facts = tuple(dict.fromkeys((*before.facts, *declared.facts)))
        found[name] = Declaration(before.shape or declared.shape, facts, "; ".join(filter(None, (before.text, text))))
    return found


def _given(name: Any, shape: Any) -> Declaration:
    """What a tuple, or a number of rows, says of a name."""
    if not isinstance(name, str) or not name.isidentifier():
        raise ShapeError(f"a shape is given for a name, got {name!r}: {shape!r}")
    pair = shape if isinstance(shape, Sequence) else (shape,)
    if not 1 <= len(pair) <= 2:
        raise ShapeError(f"the shape of {name} is rows and columns, got {shape!r}")
    for each in pair:
        if isinstance(each, int) and each < 1:
            raise ShapeError(f"a size is a name or a whole number of at least 1, got {each} for {name}")
    rows, columns = (check_size(each) for each in (*pair, 1)[:2])
    if len(pair) == 1 and name[0].isupper():
        column = f"{{{name!r}: ({rows!r}, 1)}}"
        raise ShapeError(f"{name} is a matrix by its capital, and has two sizes: give {column} for a column")
    return Declaration((rows, columns))


def _declaration(text: str) -> tuple[str, Declaration]:
    """`name (:|=) [rows [(x|,) columns]] facts`."""
    spaced = re.sub(r"(?<=\d)x(?=\d)", " x ", text)
    words = re.findall(r"-?\w+|[^\w\s]", spaced)
    head, sizes, facts = words[:2], words[2:3], words[3:]
    alone = sizes and sizes[0] in FACTS
    if alone:
        sizes, facts = [], words[2:]
    if facts and facts[0] in ("x", ",", "×") and len(facts) > 1:
        sizes, facts = [*sizes, facts[1]], facts[2:]
    if len(head) < 2 or head[1] not in (":", "=") or not head[0].isidentifier() or not (sizes or alone):
        raise SpecError("a size is written as X: n x d, or X=3,4, or w: d for a column", text, 0, len(text))
    if facts and facts[0] in ("x", ",", "×", "."):
        raise SpecError(
            "a matrix has two sizes, each a name or a whole number, as in X: n x 3", text, text.rindex(facts[0]), 1
        )
    if facts and len(sizes) == 1 and facts[0] not in FACTS and (facts[0].isdecimal() or len(facts[0]) < SHORTEST):
        pair = f"{sizes[0]} x {facts[0]}"
        raise SpecError(
            f"an x or a comma stands between two sizes: {head[0]}: {pair}", text, text.rindex(facts[0]), len(facts[0])
        )
    for fact in facts:
        if fact not in FACTS:
            raise SpecError(f"unknown fact {fact!r}{nearest(fact, FACTS)}", text, text.rindex(fact), len(fact))
    if alone:
        return head[0], Declaration(None, tuple(facts), text)
    shape = tuple(_size(word, text) for word in sizes)
    if len(shape) == 1 and head[0][0].isupper():
        word = sizes[0]
        a, between = head[0], {":": ": {} x 1", "=": "={},1"}[head[1]].format(word)
        if len(word) >= SHORTEST and not word.isdecimal():
            message = f"unknown fact {word!r}{nearest(word, FACTS)}; if it is a size, {a} has two: {a}{between}"
            raise SpecError(message, text, text.rindex(word), len(word))
        raise SpecError(
            f"{a} is a matrix by its capital, and has two sizes: write {a}{between} for a column",
            text,
            0,
            len(text),
        )
    rows, columns = shape if len(shape) == 2 else (*shape, 1)
    if "symmetric" in facts and rows != columns:
        raise SpecError(f"a symmetric matrix is square, got {show((rows, columns))}", text, 0, len(text))
    return head[0], Declaration((rows, columns), tuple(facts), text)


def _size(word: str, text: str) -> Size:
    if not (word.isdecimal() or word.isidentifier()) or word == "0":
        raise SpecError(
            f"a size is a name or a whole number of at least 1, got {word!r}", text, text.rindex(word), len(word)
        )
    return int(word) if word.isdecimal() else word


# ---- nodes


def _node(reading: Reading, symbols: Mapping[str, Node], notes: list[str]) -> tuple[Node, dict[Node, tuple[int, int]]]:
    """Every part as a node, or as the number it is, operands first; the last, and where each stands."""
    made: list[Value] = []
    for place, part in enumerate(reading.parts):
        values = [made[a] for a in part.args]
        try:
            made.append(_made(reading, place, part, values, symbols, notes))
            _check_number(made[-1])
        except ZeroDivisionError:
            reading.fail("division by 0", part)
        except OverflowError:
            reading.fail("too large or too small for a number", part, whole=True)
        except (ShapeError, ValueError, TypeError) as error:
            if isinstance(error, SpecError):
                raise
            reading.fail(str(error), part)
    whole = made[-1]
    assert isinstance(whole, Node)
    places: dict[Node, tuple[int, int]] = {}
    for value, part in zip(made, reading.parts, strict=True):
        if isinstance(value, Node):
            places.setdefault(value, (part.start, part.end))
    return whole, places


def _check_number(value: Value) -> None:
    """Raise OverflowError where a number, or that before a matrix, is none of floating point."""
    number = value if not isinstance(value, Node) else value.value[0] if value.op is scale_op else 0
    if number and not float(number):
        raise OverflowError


def _made(
    reading: Reading, place: int, part: Part, values: list[Value], symbols: Mapping[str, Node], notes: list[str]
) -> Value:
    if part.kind == "number":
        return part.number
    if part.kind == "name":
        if part.word in symbols:
            return symbols[part.word]
        count = eye(reading.shape(place)[0]) if part.word not in reading.counts else size(part.word)
        assert isinstance(count, Node)
        return count
    if part.kind == "call":
        return _called(reading, part, values, notes)
    if part.kind in ("power", "entries"):
        return _raised(reading, part, values[0], notes)
    first = values[0]
    if part.kind == "negative":
        return -first
    if part.kind == "transpose":
        return first.T if isinstance(first, Node) else first
    return _of_two(part.kind, first, values[1])


def _of_two(kind: str, a: Value, b: Value) -> Value:
    """A sign between two parts, of which either may be a number or 1 x 1."""
    if not isinstance(a, Node) and not isinstance(b, Node):
        return {"sum": a + b, "difference": a - b}[kind] if kind in ("sum", "difference") else _ratio(kind, a, b)
    if kind == "sum":
        return a + b
    if kind == "difference":
        return a - b
    if kind in ("/", "./"):
        return _divided(a, b)
    if not isinstance(a, Node):
        return scale(b, a)  # type: ignore[arg-type]  # one of the two is a node
    if not isinstance(b, Node):
        return scale(a, b)
    if kind == "⊗":
        return kron(a, b)
    if NUMBER in (a.shape, b.shape):
        return by(b, a) if a.shape == NUMBER else by(a, b)
    return apply(hadamard_op, a, b) if kind == ".*" else a @ b


def _ratio(kind: str, a: Fraction, b: Fraction) -> Fraction:
    return a / b if kind in ("/", "./") else a * b


def _divided(a: Value, b: Value) -> Node:
    if not isinstance(b, Node):
        assert isinstance(a, Node)
        return a / b
    above = a if isinstance(a, Node) else full(1, b.shape)
    number = Fraction(1) if isinstance(a, Node) else a
    if b.shape == NUMBER:
        return scale(above, number, (b, -1))
    return scale(above * reciprocal(b) if isinstance(a, Node) else reciprocal(b), number)


def _raised(reading: Reading, part: Part, base: Value, notes: list[str]) -> Value:
    """A power: of a square matrix the matrix power, and else entry by entry."""
    k = part.number
    if not isinstance(base, Node):
        return _number_raised(base, k)
    if part.kind == "power" and base.shape[0] == base.shape[1] != 1:
        if k.denominator != 1:
            reading.fail(f"a matrix power is whole, got {k}: write .^ for a power of every entry", part)
        if abs(k) > LARGEST_POWER:
            reading.fail(f"a matrix power is at most {LARGEST_POWER}, got {k}", part)
        if k != -1:
            notes.append(f"^{k} of a square matrix is the matrix power; .^{k} goes entry by entry")
        return matrix_power(base, int(k))
    if part.kind == "power" and base.shape != NUMBER:
        notes.append(f"^{k} of a matrix that is not square goes entry by entry, as .^{k} does")
    if base.op is norm.op and k == 2:
        inner = base.args[0]
        return inner.T @ inner if inner.shape[1] == 1 else total(inner * inner)
    if k == -1:
        return scale(full(1, NUMBER), 1, (base, -1)) if base.shape == NUMBER else reciprocal(base)
    if k.denominator == 1 and base.shape == NUMBER:
        return scale(full(1, NUMBER), 1, (base, int(k)))
    return apply(hadamard_op, base, base) if k == 2 else power(base, float(k))


def _number_raised(base: Fraction, k: Fraction) -> Fraction:
    """Exact where that is short."""
    if k.denominator != 1 and base < 0:
        raise ValueError("a root of a negative number")
    size = float(base) ** float(k)
    if base and not size:
        raise OverflowError
    if k.denominator == 1 and abs(k) <= LARGEST_POWER:
        return base ** int(k)
    return Fraction(size).limit_denominator(10**15) if size > 1 else Fraction(str(size))


def _called(reading: Reading, part: Part, values: list[Value], notes: list[str]) -> Node:
    call = CALLS[part.word]
    matrices = values[: call.operands]
    shape = next(v.shape for v in matrices if isinstance(v, Node))
    if call.of_matrices and 1 not in shape:
        reading.fail(f"of a matrix, {show(shape)}, this norm may be {call.of_matrices}", part)
    if call.is_analytic and shape[0] == shape[1] != 1:
        notes.append(f"{part.word} of a square matrix goes entry by entry: it is not the matrix function")
    if call.along and shape[1] == 1 != shape[0]:
        notes.append(f"{part.word} of a column goes down the column")
    lifted = [v if isinstance(v, Node) else full(v, shape) for v in matrices]
    return call.build(*lifted, *(float(v) for v in values[call.operands :] if not isinstance(v, Node)))
