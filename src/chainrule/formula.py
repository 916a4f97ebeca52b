"""The grammar of typed formulas such as ``sum((X w - y)^2)``: text to a flat list of parts. Syntax only; no `eval`.

sum     = [sign] term { ("+" | "-") term }
term    = row { "/" number { factor } } { ("@" | ".*" | "∘" | "/" | "./" | "⊗" | "*") row }      x/2 y is (x/2) y
row     = factor { factor }                          side by side: the matrix product, which binds tighter
factor  = [sign] operand { "'" | ".T" | "^" exponent | ".^" exponent }
operand = number [ "/" number ] | name | name "(" sum { "," sum } ")" | "(" sum ")" | "||" sum "||" | "|" sum "|"
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isinf
from typing import NoReturn

from chainrule.errors import SpecError, nearest

_TOKEN = re.compile(
    r"""
      (?P<space>  \s+ )
    | (?P<number> (?: [0-9]+ (?: \.[0-9]+ )? | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? )
    | (?P<name>   [^\W\d]\w* )
    | (?P<mark>   \|\| | \*\* | ‖ | \.\* | \./ | \.\^ | \.T\b | \.' | . )
    """,
    re.VERBOSE,
)
SAME = {"‖": "||", "∘": ".*", "⊙": ".*", ".'": "'", ".T": "'", "’": "'", "ᵀ": "'", "−": "-", "·": "*", "×": "*"}
BINARY = ("@", ".*", "./", "/", "⊗", "*")
ZERO = Fraction(0)
NO_NAMES: Mapping[str, str] = {}
INDICES = ("i", "j", "k", "n", "t")  # over which books add up
DEEPEST = 100  # brackets in each other
DIGITS = 300  # of a number
NORMS = {"_F": "norm", "_2": "norm2", "_1": "norm1"}  # what is called by an index


@dataclass(frozen=True, slots=True)
class Mark:
    """A token: its kind is number, name, end, or the sign itself."""

    kind: str
    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Part:
    """One operation of a formula; `args` are the places of its operands in the list of parts."""

    kind: str  # name, number, call, sum, difference, negative, row, transpose, power, entries, norm, or a binary sign
    args: tuple[int, ...]
    position: int  # where it is shown, such as the sign of a product
    length: int
    start: int  # where its text begins and ends
    end: int
    word: str = ""
    number: Fraction = ZERO


class Formula:
    """The parts of a text, operands first; the last is the whole."""

    def __init__(
        self, text: str, functions: Collection[str], symbols: Collection[str], elsewhere: Mapping[str, str] = NO_NAMES
    ) -> None:
        self.text = text
        self.parts: list[Part] = []
        self._functions = functions
        self._elsewhere = elsewhere  # what functions are called by other names
        self._symbols = symbols
        self._marks = _marks(text)
        self._at = 0
        self._open: list[str] = []
        if self._next.kind == "end":
            self._fail("an empty formula; write for example 'sum((X w - y)^2)'", self._next)
        self._sum()
        if self._next.kind != "end":
            self._fail(_unexpected(self._next), self._next)

    # ---- reading

    @property
    def _next(self) -> Mark:
        return self._marks[self._at]

    def _take(self, *kinds: str) -> Mark | None:
        mark = self._next
        if mark.kind not in kinds:
            return None
        self._at += 1
        return mark

    def _fail(self, message: str, mark: Mark) -> NoReturn:
        raise SpecError(message, self.text, mark.position, len(mark.text))

    def _make(self, kind: str, args: tuple[int, ...], mark: Mark, *, word: str = "", number: Fraction = ZERO) -> int:
        ends = [mark.position + len(mark.text), *(self.parts[a].end for a in args)]
        starts = [mark.position, *(self.parts[a].start for a in args)]
        part = Part(kind, args, mark.position, len(mark.text), min(starts), max(ends), word, number)
        self.parts.append(part)
        return len(self.parts) - 1

    # ---- the grammar, one method for each line

    def _sum(self) -> int:
        sign = self._take("+", "-")
        whole = self._term()
        if sign and sign.kind == "-":
            whole = self._make("negative", (whole,), sign)
        while mark := self._take("+", "-"):
            whole = self._make("sum" if mark.kind == "+" else "difference", (whole, self._term()), mark)
        return whole

    def _term(self) -> int:
        whole = self._row()
        while self._divides_by_number():
            divisor = self._marks[self._at]
            self._at += 1
            whole = self._make(divisor.kind, (whole, self._operand()), divisor)
            whole = self._beside(whole)
        while mark := self._take(*BINARY):
            first = self._at
            right = self._row()
            open_row = self.parts[right].kind == "row" and not self._is_bracketed(right)
            if mark.kind in ("/", "./") and open_row and self._starts_plainly(first):
                self._two_divisions(mark, whole, right)
            whole = self._make(mark.kind, (whole, right), mark)
        return whole

    def _divides_by_number(self) -> bool:
        """Is it / 2, of a number as it stands? It binds alone."""
        kinds = [mark.kind for mark in self._marks[self._at : self._at + 3]]
        if kinds[0] in ("/", "./") and kinds[1:] == ["number", "'"]:
            number, turned = self._marks[self._at + 1 : self._at + 3]
            self._fail(f"{number.text} is its own transpose, and binds alone below: write / {number.text}", turned)
        return kinds[0] in ("/", "./") and kinds[1] == "number" and kinds[2] not in ("'", "^", ".^")

    def _is_bracketed(self, place: int) -> bool:
        part = self.parts[place]
        return part.start < self.parts[part.args[0]].start

    def _starts_plainly(self, first: int) -> bool:
        """Could what stands right after a slash be all that is divided by?"""
        kinds = [mark.kind for mark in self._marks[first : first + 2]]
        return kinds[0] in ("name", "number", "(", "||", "|") and kinds[1] != "'"

    def _two_divisions(self, mark: Mark, left: int, right: int) -> NoReturn:
        above, below = (self.text[self.parts[i].start : self.parts[i].end] for i in (left, right))
        first = self.parts[right]
        while first.kind == "row":
            first = self.parts[first.args[0]]
        one = self.text[first.start : first.end]
        rest = below[len(one) :].strip()
        self._fail(
            f"{mark.text!r} can be read in two ways: ({above} {mark.text} {one}) {rest}, "
            f"or {above} {mark.text} ({below}): write the one you mean",
            mark,
        )

    def _row(self) -> int:
        return self._beside(self._factor())

    def _beside(self, whole: int) -> int:
        """What stands side by side with it."""
        while self._begins_factor():
            mark = Mark("row", "", self._next.position)
            right = self._factor(signed=False)
            self._no_ones(right)
            place = self.parts[right]
            whole = self._make("row", (whole, right), Mark("row", self.text[place.start : place.end], mark.position))
        return whole

    def _no_ones(self, place: int) -> None:
        """Refuse 1'x and x'1, which books mean as sums: 1 is the number."""
        part = self.parts[place]
        if part.kind == "number" and part.number == 1:
            message = "1 is a number here, and no column of ones: write sum(x) for 1'x or x'1, sum(X) for 1'X 1"
            self._fail(message, Mark("number", self.text[part.start : part.end], part.start))

    def _begins_factor(self) -> bool:
        kind = self._next.kind
        if kind in ("|", "||"):
            return not (self._open and self._open[-1] == kind)
        return kind in ("number", "name", "(")

    def _factor(self, *, signed: bool = True) -> int:
        sign = self._take("+", "-") if signed else None
        whole = self._operand()
        while mark := self._take("'", "^", ".^"):
            inner = whole
            if mark.kind == "'":
                self._no_ones(inner)
            whole = self._make("transpose", (inner,), mark) if mark.kind == "'" else self._power(inner, mark)
            if {self.parts[i].kind for i in (inner, whole)} <= {"power", "entries"} and not self._is_bracketed(inner):
                self._two_powers(inner, whole, mark)
        return self._make("negative", (whole,), sign) if sign and sign.kind == "-" else whole

    def _two_powers(self, inner: int, whole: int, mark: Mark) -> NoReturn:
        first = self.parts[inner]
        base, left = (self.text[self.parts[i].start : self.parts[i].end] for i in (first.args[0], inner))
        exponent, right = self.text[first.position + first.length : first.end], self.text[mark.position :]
        right = right[: self.parts[whole].end - mark.position]
        self._fail(
            f"a power of a power can be read in two ways: ({left}){right}, or {base}^({exponent}{right}): "
            "write the first, or the exponent as one number",
            mark,
        )

    def _power(self, base: int, mark: Mark) -> int:
        bracket = self._take("(")
        sign = self._take("-", "+")
        negative = sign is not None and sign.kind == "-"
        turned = self._take("name")
        if turned is not None and turned.text == "T" and mark.kind == "^":
            if negative:
                base = self._make("power", (base,), mark, number=Fraction(-1))
            whole = self._make("transpose", (base,), turned)
        else:
            number = None if turned else self._take("number")
            if number is None:
                wanted = "an exponent is a number, such as ^2, .^0.5 or ^-1, or T for the transpose"
                self._fail(wanted, turned or self._next)
            k = self._fraction(number)
            if bracket and self._take("/"):
                k /= self._nonzero("a denominator")
            kind = "power" if mark.kind == "^" else "entries"
            whole = self._make(kind, (base,), mark, number=-k if negative else k)
        if bracket and not self._take(")"):
            self._fail("'(' is never closed", bracket)
        self._extend(whole, self.parts[base].start, self._marks[self._at - 1])
        return whole

    def _nonzero(self, what: str) -> Fraction:
        number = self._take("number")
        k = ZERO if number is None else self._fraction(number)
        if not k:
            self._fail(f"{what} is a number other than 0", number or self._next)
        return k

    def _fraction(self, number: Mark) -> Fraction:
        """A number that floating point has, too."""
        significant = number.text.lower().partition("e")[0].strip("0.")
        if len(significant) > DIGITS:
            self._fail(f"a number has at most {DIGITS} digits", number)
        size = float(number.text)
        if isinf(size) or (significant and not size):
            self._fail(f"{number.text!r} is too {'large' if size else 'small'} for a number", number)
        return Fraction(number.text)

    def _operand(self) -> int:
        mark = self._next
        if self._take("number"):
            value, ahead = self._fraction(mark), self._marks[self._at : self._at + 2]
            if [m.kind for m in ahead] == ["/", "number"] and not self._is_divisor(self._at - 1):
                self._at += 1
                value /= self._nonzero("a denominator")
            return self._make("number", (), mark, number=value)
        if self._take("name"):
            return self._named(mark)
        if not self._take("(", "|", "||"):
            found = "the end" if mark.kind == "end" else repr(mark.text)
            self._fail(f"expected a matrix, a number or a bracket, found {found}", mark)
        return self._bracketed(mark)

    def _is_divisor(self, place: int) -> bool:
        """Does a slash stand before a mark? x / 2 / 3 is divided twice."""
        before = next((m.kind for m in reversed(self._marks[:place]) if m.kind not in ("+", "-")), "")
        return before in ("/", "./")

    def _named(self, name: Mark) -> int:
        bracket = self._next
        if name.text in self._symbols:
            return self._make("name", (), name, word=name.text)
        if name.text not in self._functions:
            beside = bracket.kind == "(" and bracket.position == name.position + len(name.text)
            if beside and (name.text in self._elsewhere or (len(name.text) > 2 and name.text.islower())):
                self._fail(f"unknown function {name.text!r}{self._suggestion(name.text)}", name)
            head, _, index = name.text.partition("_")
            if head in self._functions and index in INDICES and self._begins_factor():
                self._fail(f"no sum goes over an index: write {head}(...), or declare the shape of {name.text}", name)
            return self._make("name", (), name, word=name.text)
        if bracket.kind != "(":
            self._fail(f"{name.text!r} is a function: write {name.text}(...), or declare its shape as a matrix", name)
        self._take("(")
        self._enter("(", bracket)
        args = [self._sum()]
        while self._take(","):
            args.append(self._sum())
        self._leave(")", bracket)
        end = self._marks[self._at - 1]
        made = self._make("call", tuple(args), name, word=name.text)
        self._extend(made, name.position, end)
        return made

    def _suggestion(self, name: str) -> str:
        known = self._elsewhere.get(name, "")
        return (
            f"; did you mean {known}?"
            if known
            else nearest(name, self._functions, "chainrule gradient --help lists all")
        )

    def _bracketed(self, mark: Mark) -> int:
        before = self._marks[max(self._at - 2, 0)]
        self._enter(mark.kind, mark)
        whole = self._sum()
        if mark.kind == "(" and self._next.kind == "," and before.kind == "name":
            self._fail(f"unknown function {before.text!r}{self._suggestion(before.text)}", before)
        self._leave(")" if mark.kind == "(" else mark.kind, mark)
        end = self._marks[self._at - 1]
        if mark.kind != "(":
            word = "norm" if mark.kind == "||" else "abs"
            index = self._next
            if index.text.startswith("_") and index.position == end.position + len(end.text):
                if mark.kind == "|" or index.text not in NORMS:
                    self._fail(f"no norm is called {index.text!r}: write ||x|| or ||x||_2, ||x||_1, ||X||_F", index)
                self._take("name")
                word, end = NORMS[index.text], index
            whole = self._make("call", (whole,), mark, word=word)
        self._extend(whole, mark.position, end)
        return whole

    def _extend(self, place: int, start: int, end: Mark) -> None:
        """The text of a part with the brackets around it."""
        self.parts[place] = replace(self.parts[place], start=start, end=end.position + len(end.text))

    def _enter(self, kind: str, mark: Mark) -> None:
        self._open.append(kind)
        if len(self._open) > DEEPEST:
            self._fail(f"more than {DEEPEST} brackets in each other", mark)

    def _leave(self, kind: str, opening: Mark) -> None:
        if not self._take(kind):
            if self._next.kind == "end":
                self._fail(f"{opening.text!r} is never closed", opening)
            self._fail(_unexpected(self._next), self._next)
        self._open.pop()


def _unexpected(mark: Mark) -> str:
    if mark.kind == "**":
        return "'**' is written .^ where it goes entry by entry, and ^ for the power of a square matrix or a number"
    return f"{mark.text!r} closes no bracket" if mark.kind == ")" else f"unexpected {mark.text!r}"


def _marks(text: str) -> list[Mark]:
    found = []
    for match in _TOKEN.finditer(text):
        kind, piece = str(match.lastgroup), match.group()
        if kind == "name" and not piece.isidentifier():
            message = f"{piece!r} is no name: letters, digits and _; a power is written x^2, a half 1/2"
            raise SpecError(message, text, match.start(), len(piece))
        if kind != "space":
            found.append(Mark(SAME.get(piece, piece) if kind == "mark" else kind, piece, match.start()))
    return [*found, Mark("end", "", len(text.rstrip()))]
