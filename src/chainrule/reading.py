"""The shapes of the parts of a typed formula: what follows from declared ones, and what the signs then mean."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from dataclasses import replace
from typing import NoReturn

from chainrule.errors import SpecError
from chainrule.formula import Formula, Part
from chainrule.operators import CALLS, ELSEWHERE
from chainrule.shapes import Shape, Size, times
from chainrule.sizing import Pair, Sizes

EQUAL = {"sum": "+", "difference": "-", ".*": ".*", "./": "./"}
STARS = ("@", ".*")  # what a lone * could mean
MANY_STARS = 4  # so many are tried with each other
ATOMS = ("name", "number", "call", "row", "transpose", "power", "entries")  # they stay together beside a sign
NO_STARS: Mapping[int, str] = {}
LONG = 40  # letters: a longer formula is not said again above itself
WAITING = ("row", "@", "*", *EQUAL, "/")  # what these mean depends on whether an operand is 1 x 1


class LoneStarError(SpecError):
    """A lone * between two matrices; does the formula fit with one of its readings?"""

    fits = False


class Reading:
    """Every part with its shape; None for a number, which fits everywhere."""

    def __init__(self, text: str, declared: Mapping[str, Shape], meant: Mapping[int, str] = NO_STARS) -> None:
        self.text = text
        self.declared = declared
        self.meant = meant  # what the * at a position is read as
        self.counts = {s for shape in declared.values() for s in shape if isinstance(s, str)} - set(declared)
        parts = Formula(text, CALLS, declared, ELSEWHERE).parts
        self.parts = [replace(p, kind=meant.get(p.position, p.kind)) if p.kind == "*" else p for p in parts]
        self.sizes = Sizes()
        self.shapes: list[Pair | None] = []
        self.symbols: dict[str, Pair] = {}
        self.numbers: list[str] = []  # names that are 1 x 1 only because the whole is
        self.pending: dict[int, None] = {}  # parts whose meaning is not clear yet, in order
        self.agrees = True  # where a function of square matrices has another, that function says so
        for part in self.parts:
            self.shapes.append(self._shape(part))
            if self._is_folded(part):
                self.sizes.mark(self.shapes[-1] or ())
            self._advance()
        self._decide()
        self._make_scalar()
        self._settle()

    def fail(self, message: str, part: Part, *, whole: bool = False) -> NoReturn:
        """Raise with carets under the sign of a part, or under all of it."""
        position, length = (part.start, part.end - part.start) if whole else (part.position, part.length)
        raise SpecError(message, self.text, position, length)

    def written(self, place: int) -> str:
        """A part as it was typed."""
        return self.text[self.parts[place].start : self.parts[place].end]

    def shape(self, place: int) -> Shape:
        """The shape of a part, once all is known; a number is 1 x 1."""
        pair = self.shapes[place]
        return (1, 1) if pair is None else (self._known(pair[0]), self._known(pair[1]))

    def _known(self, unknown: int) -> Size:
        value = self.sizes.value(unknown)
        assert value is not None
        return value

    # ---- from parts to shapes

    def _shape(self, part: Part) -> Pair | None:
        """The shape of a part, with unknown sizes in it; what has to wait is put on the list."""
        sizes, shapes = self.sizes, [self.shapes[a] for a in part.args]
        if part.kind == "number":
            return None
        if part.kind == "name":
            return self._named(part)
        if part.kind == "call":
            return self._called(part, shapes)
        if part.kind == "⊗":
            return (sizes.new(), sizes.new()) if None not in shapes else next((s for s in shapes if s), None)
        if part.kind in WAITING:
            return self._of_two(part, shapes)
        shape = shapes[0]
        if shape is None or part.kind == "negative":
            return shape
        if part.kind == "transpose":
            sizes.mark(shape)
            return shape[1], shape[0]
        if part.kind == "power" and part.number < 0 and not self._is_vector(shape):
            self._square(part, shape, "an inverse", "; .^ goes entry by entry")
        return shape

    def _is_vector(self, shape: Pair) -> bool:
        return any(self.sizes.value(a) == 1 for a in shape)

    def _square(self, part: Part, shape: Pair, what: str, hint: str = "") -> None:
        if not self.sizes.make_equal(*shape):
            self.fail(f"{what} is of a square matrix, got {self.sizes.show(shape)}{hint}", part)
        self._square_blocks(self.parts[part.args[0]])

    def _square_blocks(self, part: Part) -> None:
        """Of A ⊗ B that is square, A and B are taken to be so where nothing is known of them."""
        if part.kind == "⊗" or (part.kind == "call" and CALLS[part.word].shaped == "blocks"):
            for shape in (self.shapes[a] for a in part.args):
                if shape and all(self.sizes.value(a) is None for a in shape):
                    self.sizes.make_equal(*shape)

    def _named(self, part: Part) -> Pair:
        name, sizes = part.word, self.sizes
        if name in self.counts:
            return sizes.one, sizes.one
        if keyword.iskeyword(name):
            other = name[:3] if not keyword.iskeyword(name[:3]) else f"{name}_"
            self.fail(f"{name!r} is a word of Python: choose another name, such as {other!r}", part)
        if name == "I" and name not in self.declared:
            size = sizes.new()
            return size, size
        if name not in self.symbols:
            if name in self.declared:
                rows, columns = self.declared[name]
                self.symbols[name] = sizes.of(rows), sizes.of(columns)
            else:
                self.symbols[name] = sizes.new(), sizes.new() if name[0].isupper() else sizes.one
            if name[0].isupper():
                sizes.mark(self.symbols[name])
        return self.symbols[name]

    def _of_two(self, part: Part, shapes: list[Pair | None]) -> Pair | None:
        left, right = shapes
        if right is None or left is None:
            if part.kind == "@":
                self.fail("'@' is between two matrices: write a number beside the matrix", part)
            return left or right
        return self._wait(left, right)

    def _wait(self, *operands: Pair) -> Pair:
        """The shape of a part that is settled once more is known of its operands."""
        place = len(self.shapes)
        self.pending[place] = None
        self.sizes.news.append(place)
        for unknown in (a for pair in operands for a in pair):
            self.sizes.watch(unknown, place)
        return self.sizes.new(), self.sizes.new()

    def _called(self, part: Part, shapes: list[Pair | None]) -> Pair | None:
        call, sizes = CALLS[part.word], self.sizes
        matrices, rest = shapes[: call.operands], shapes[call.operands :]
        if len(matrices) < call.operands or len(rest) > call.parameters or any(rest):
            takes = f"{call.operands} matri{'x' if call.operands == 1 else 'ces'}"
            extra = f" and up to {call.parameters} numbers" if call.parameters else ""
            self.fail(f"{part.word!r} takes {takes}{extra}, got {len(shapes)} operands", part)
        if None in matrices and (call.shaped != "pair" or not any(matrices)):
            self.fail(f"{part.word!r} is of a matrix here, not of a number", part)
        first = next(shape for shape in matrices if shape)
        if call.along or call.shaped not in ("same", "pair"):
            sizes.mark(first)
        if call.shaped in ("square", "number of square"):
            self._square(part, first, f"{part.word!r}")
        if call.shaped in ("pair", "loss") and None not in matrices:
            self._equal(part, *(shape for shape in matrices if shape))
        match call.shaped:
            case "same" | "pair" | "square":
                return first
            case "row":
                return (sizes.one, sizes.one) if sizes.value(first[1]) == 1 else (first[0], sizes.one)
            case "column":
                return sizes.new(), sizes.one
            case "blocks":
                return sizes.new(), sizes.new()
            case "folded":
                if not sizes.make_equal(first[1], sizes.one):
                    self.fail(f"{part.word!r} folds a column, got {sizes.show(first)}", part)
                return matrices[-1]
            case "diagonal":
                return self._wait(first)
        return sizes.one, sizes.one

    # ---- what had to wait

    def _advance(self) -> None:
        """Settle what is clear by now: only what waits for a size that became known can be."""
        while self.sizes.news:
            ready, self.sizes.news = sorted(set(self.sizes.news)), []
            for place in ready:
                if place in self.pending and self._resolve(place, decide=False):
                    del self.pending[place]

    def _decide(self) -> None:
        """Where both readings are left, take the matrix product, or equal shapes: one after another."""
        for place in list(self.pending):
            if place in self.pending:
                del self.pending[place]
                self._resolve(place, decide=True)
                self._advance()

    def _resolve(self, place: int, *, decide: bool) -> bool:
        """Give a part its shape; False where it is not clear yet."""
        part, out, sizes = self.parts[place], self.shapes[place], self.sizes
        operands = [self.shapes[a] for a in part.args]
        left, right = operands[0], operands[-1]
        assert out is not None
        assert left is not None
        assert right is not None
        if part.kind == "call":
            return self._diagonal(part, out, left, decide=decide)
        if part.kind == "/":
            if not decide and not sizes.is_one(right):
                return False
            self._divided(part, right)
            return self._same(out, left)
        if sizes.is_one(left):
            return self._same(out, right)
        if sizes.is_one(right):
            return self._same(out, left)
        if part.kind == "*":
            return self._starred(part, left, right) if decide or self._is_clear(left, right) else False
        if not decide and not self._is_clear(left, right):
            return False
        if part.kind in EQUAL:
            self._equal(part, left, right)
            return self._same(out, left)
        if self._is_a_coefficient(left, right):
            sizes.make_equal(left[0], sizes.one)
            return self._same(out, right)
        if not sizes.make_equal(left[1], right[0]):
            columns, rows = sizes.value(left[1]), sizes.value(right[0])
            shapes = f"{sizes.show(left)} by {sizes.show(right)}"
            self.fail(f"cannot multiply {shapes}: {columns} columns meet {rows} rows", part)
        return self._same(out, (left[0], right[1]))

    def _is_a_coefficient(self, left: Pair, right: Pair) -> bool:
        """Is it lam X: a number, as the column would need a row beside it?"""
        sizes = self.sizes
        if sizes.value(left[1]) != 1 or sizes.value(left[0]) is not None:
            return False
        return sizes.value(right[0]) is None or (sizes.value(right[0]) != 1 and not self._is_a_matrix(left))

    def _is_clear(self, left: Pair, right: Pair) -> bool:
        return self.sizes.is_not_one(left) and self.sizes.is_not_one(right)

    def _same(self, out: Pair, shape: Pair) -> bool:
        for a, b in zip(out, shape, strict=True):
            self.agrees &= self.sizes.make_equal(a, b)
        return True

    def _equal(self, part: Part, left: Pair, right: Pair) -> None:
        if self.sizes.is_one(left) or self.sizes.is_one(right):
            return
        if not all(self.sizes.make_equal(a, b) for a, b in zip(left, right, strict=True)):
            shapes = f"{self.sizes.show(left)} does not fit {self.sizes.show(right)}"
            self.fail(f"entry by entry, {shapes}", part)

    def _is_a_matrix(self, shape: Pair) -> bool:
        """Does it have a size, not known yet, that a name in upper case or a vector has? It is no number then."""
        return any(map(self.sizes.is_open, shape))

    def _divided(self, part: Part, right: Pair) -> None:
        if self._is_a_matrix(right) or not all(self.sizes.make_equal(a, self.sizes.one) for a in right):
            above, below = map(self.written, part.args)
            self.fail(
                f"'/' divides by a number, and {below} is {self.sizes.show(right)}: "
                f"write {above} ./ {below} entry by entry, or the inverse ({below})^-1",
                part,
            )

    def _diagonal(self, part: Part, out: Pair, shape: Pair, *, decide: bool) -> bool:
        """Of a column the square matrix, of a square matrix the column."""
        sizes = self.sizes
        if sizes.value(shape[1]) == 1:
            return self._same(out, (shape[0], shape[0]))
        if not decide and sizes.value(shape[1]) is None:
            return False
        self._square(part, shape, "a diagonal")
        return self._same(out, (shape[0], sizes.one))

    def _starred(self, part: Part, left: Pair, right: Pair) -> NoReturn:
        """A lone * between two matrices is refused, with what could be meant: in the whole formula, or else here."""
        readings = [each for each in STARS if self._fits({**self.meant, part.position: each})]
        fits = bool(readings)
        readings = readings or [each for each, here in zip(STARS, self._fit_here(left, right), strict=True) if here]
        a, b = map(self._operand, part.args)
        shapes = f"{self.sizes.show(left)} and {self.sizes.show(right)}"
        messages = {
            ("@", ".*"): f"'*' has two readings: {a} {b} is the matrix product, {a} .* {b} goes entry by entry",
            ("@",): f"'*' between {shapes} can only be the matrix product: write {a} {b}, or {a} @ {b}",
            (".*",): f"'*' between {shapes} can only go entry by entry: write {a} .* {b}",
            (): f"'*' has no reading between {shapes}: neither product fits",
        }
        error = LoneStarError(messages[tuple(readings)], self.text, part.position, part.length)
        error.fits = fits
        raise error

    def _fits(self, meant: Mapping[int, str]) -> bool:
        """Has the formula a reading in which these signs mean that?"""
        if len(meant) > MANY_STARS:
            return False
        try:
            return Reading(self.text, self.declared, meant).agrees
        except LoneStarError as error:
            return error.fits
        except SpecError:
            return False

    def _fit_here(self, left: Pair, right: Pair) -> tuple[bool, bool]:
        """Do two matrices fit as a product, and entry by entry, by what is known of them so far?"""
        sizes = self.sizes
        meeting = [sizes.value(left[1]), sizes.value(right[0])]
        product = meeting[0] == meeting[1] if 1 in meeting else sizes.can_be_equal(left[1], right[0])
        product = product or self._is_a_coefficient(left, right)
        return product, all(sizes.can_be_equal(x, y) for x, y in zip(left, right, strict=True))

    def _operand(self, place: int) -> str:
        """A part as it was typed, in brackets where it would not stay together beside another."""
        part, typed = self.parts[place], self.written(place)
        opened = part.start < min([part.position, *(self.parts[a].start for a in part.args)])
        return typed if opened or part.kind in ATOMS else f"({typed})"

    # ---- the end

    def _make_scalar(self) -> None:
        """The whole is one number where it can be, because names in lower case are numbers; no matrix becomes one."""
        shape, sizes = self.shapes[-1], self.sizes
        if shape is None or not self.symbols:
            self.fail("a formula of numbers has no derivative: it needs a matrix", self.parts[-1], whole=True)
        open_names = [name for name, pair in self.symbols.items() if not sizes.is_one(pair)]
        if not self._is_a_matrix(shape) and all(sizes.can_be_equal(a, sizes.one) for a in shape):
            for a in shape:
                sizes.make_equal(a, sizes.one)
        self.numbers = [name for name in open_names if sizes.is_one(self.symbols[name])]

    def _settle(self) -> None:
        """Names for sizes that nobody named, and the sizes of what is folded or made of blocks."""
        taken: set[str] = {*self.symbols, *self.declared, *self.counts, *(p.word for p in self.parts)}
        order = [pair for pair in (*self.symbols.values(), *self.shapes) if pair]
        sized = [(p, part.args) for p, part in enumerate(self.parts) if self._is_folded(part)]
        like = [part.args for part in self.parts if part.kind == "call" and CALLS[part.word].shaped == "folded"]
        for place, args in (*sized, *((a, rest) for a, *rest in like)):  # of unvec the operand is as long as vec(like)
            operands = [self.shapes[a] or (self.sizes.one, self.sizes.one) for a in args]
            known = [[self.sizes.settle(a, taken) for a in pair] for pair in operands]
            wanted = (
                (times(*known[0]), 1) if len(known) == 1 else tuple(times(a, b) for a, b in zip(*known, strict=True))
            )
            for unknown, size in zip(self.shapes[place] or (), wanted, strict=True):
                if not self.sizes.make_equal(unknown, self.sizes.of(size)):
                    found = self.sizes.value(unknown)
                    has, needs = (size, found) if self._is_folded(self.parts[place]) else (found, size)
                    self.fail(
                        f"{self.written(place)} has size {has} where {needs} is needed: declare the shapes",
                        self.parts[place],
                    )
        for a in (a for pair in order for a in pair):
            self.sizes.settle(a, taken)

    def _is_folded(self, part: Part) -> bool:
        return part.kind == "⊗" or (part.kind == "call" and CALLS[part.word].shaped in ("column", "blocks"))
