"""Checking printed arithmetic: is 0.7333(1 - 0.733) = 0.1958, to the digits printed, and from what roundings?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations

from chainrule.errors import SpecError

__all__ = ["Arithmetic", "check_arithmetic"]

TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([-+*/^()=·×≈]))")

DIGITS = 300  # of a number, and its largest exponent
DEEPEST = 100  # brackets, signs and powers in each other
LONGEST = 10_000  # bits of what is worked out on the way


@dataclass(frozen=True)
class Arithmetic:
    """A printed claim about numbers; true when it is right to the digits printed.

    Attributes
    ----------
    claim : str
    exact : Fraction
        What the left side is worth.
    printed : Fraction
        The right side.
    ok : bool
        Does the exact value round to the printed one?
    mixed : tuple of (str, str, Fraction)
        Where one number is written to fewer digits than elsewhere: the two spellings, and what the left side is worth
        with the longer one throughout.
    places : int
        Decimals of the right side: 1.5e3 has -2, as it may be 50 off.
    """

    claim: str
    exact: Fraction
    printed: Fraction
    ok: bool
    mixed: tuple[tuple[str, str, Fraction], ...]
    places: int

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        more = max(self.places + 4, 0)
        shown = _decimal(self.exact, more)
        verdict = "right as printed" if self.ok else "wrong"
        lines = [f"{self.claim}: {verdict}, the left side is {shown}"]
        for short, long, value in self.mixed:
            rounded = _decimal(value, max(self.places, 0))
            other = "the same" if _rounds(value, self.printed, self.places) else f"{rounded}, not what is printed"
            lines.append(
                f"  {short} is {long} rounded: with {long} throughout it is {_decimal(value, more)}, "
                f"which rounds to {other}"
            )
        return "\n".join(lines)


def check_arithmetic(claim: str) -> Arithmetic:
    """Check a line of printed arithmetic, exactly, to the digits of its result.

    Parameters
    ----------
    claim : str
        Such as "0.7333(1 - 0.733) = 0.1958"; products may be written side by side.

    Returns
    -------
    Arithmetic
        True when it is right as printed. Its text also says where one number is written with two roundings.

    Raises
    ------
    SpecError
        With a caret under what cannot be read.

    Examples
    --------
    >>> import chainrule as cr
    >>> print(cr.check_arithmetic("0.7333(1 - 0.733) = 0.1958"))
    0.7333(1 - 0.733) = 0.1958: right as printed, the left side is 0.19579110
      0.733 is 0.7333 rounded: with 0.7333 throughout it is 0.19557111, which rounds to 0.1956, not what is printed
    """
    left, right = _read(claim)
    exact, printed = _Reader(left, claim).whole(), _Reader(right, claim).whole()
    places = _places(right[-1][0])
    numbers = list(dict.fromkeys(text for text, _ in left if text[0].isdigit() or text[0] == "."))
    mixed = tuple(
        (short, long, _Reader([(long if text == short else text, at) for text, at in left], claim).whole())
        for short, long in permutations(numbers, 2)
        if _is_rounding(short, long)
    )
    return Arithmetic(claim, exact, printed, _rounds(exact, printed, places), mixed, places)


def _is_rounding(short: str, long: str) -> bool:
    """Is one decimal the other one, to fewer digits?"""
    places, more = _places(short), _places(long)
    return 1 < places < more and "e" not in (short + long).lower() and _rounds(Fraction(long), Fraction(short), places)


def _places(number: str) -> int:
    """How many decimals a number is printed to: its last digit is worth 10^-places."""
    digits, _, exponent = number.lower().partition("e")
    return len(digits.partition(".")[2]) - int(exponent or 0)


def _rounds(value: Fraction, printed: Fraction, places: int) -> bool:
    return abs(value - printed) <= Fraction(10) ** -places / 2


def _decimal(value: Fraction, places: int) -> str:
    """Exact to the last digit, which a float is not."""
    digits = str(round(abs(value) * 10**places)).rjust(places + 1, "0")
    whole, decimals = (digits[:-places], f".{digits[-places:]}") if places else (digits, "")
    return f"{'-' if value < 0 else ''}{whole}{decimals}"


Tokens = list[tuple[str, int]]  # each with its position


def _read(claim: str) -> tuple[Tokens, Tokens]:
    """The tokens of both sides; on the right is one number, with a sign perhaps."""
    tokens: Tokens = []
    at = 0
    while claim[at:].strip():
        match = TOKEN.match(claim, at)
        if match is None:
            at += len(claim[at:]) - len(claim[at:].lstrip())
            raise SpecError(f"{claim[at]!r} is neither a number nor a sign", claim, at)
        tokens.append((match[1] or match[2], match.start(match.lastindex or 0)))
        at = match.end()
    signs = [i for i, (text, _) in enumerate(tokens) if text in "=≈"]
    if len(signs) != 1:
        raise SpecError("a claim has one sign =, with arithmetic before it and a number after it", claim, 0)
    right = tokens[signs[0] + 1 :]
    wrong = next((at for text, at in right[:-1] if text not in "+-"), None)
    if wrong is not None or not right or not _is_number(right[-1][0]):
        raise SpecError(
            "after the sign = stands one number", claim, tokens[signs[0]][1] if wrong is None else right[-1][1]
        )
    return tokens[: signs[0]], right


def _is_number(token: str) -> bool:
    return token.strip("+-*/^()=·×≈") != ""


class _Reader:
    """Arithmetic by its grammar: sums of products of powers; products may stand side by side."""

    def __init__(self, tokens: Tokens, claim: str) -> None:
        self.tokens, self.claim, self.at, self.depth = tokens, claim, 0, 0

    @property
    def next(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def whole(self) -> Fraction:
        value = self.sum()
        if self.next:
            raise self.error(f"unexpected {self.next!r}")
        return value

    def error(self, message: str) -> SpecError:
        position = self.tokens[self.at][1] if self.at < len(self.tokens) else len(self.claim)
        return SpecError(message, self.claim, position)

    def take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1][0]

    def sum(self) -> Fraction:
        value = self.product()
        while self.next in ("+", "-"):
            value = value + self.product() if self.take() == "+" else value - self.product()
        return value

    def product(self) -> Fraction:
        value = self.power()
        while self.next and self.next not in "+-)":
            sign = self.take() if self.next in "*/·×" else "*"
            factor = self.power()
            if sign == "/" and not factor:
                raise self.error("division by 0")
            value = value / factor if sign == "/" else value * factor
        return value

    def power(self) -> Fraction:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error(f"more than {DEEPEST} brackets, signs or powers in each other")
        value = self.signed() if self.next in ("+", "-") else self.raised()
        self.depth -= 1
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > LONGEST:
            raise self.error("this has too many digits")
        return value

    def signed(self) -> Fraction:
        return self.power() if self.take() == "+" else -self.power()

    def raised(self) -> Fraction:
        value = self.atom()
        if self.next != "^":
            return value
        self.take()
        exponent = self.power()
        if exponent.denominator != 1 or abs(exponent) > 100:
            raise self.error("an exponent is a whole number of at most 100")
        if exponent < 0 and not value:
            raise self.error("division by 0")
        return value ** int(exponent)

    def atom(self) -> Fraction:
        if not self.next or (self.next != "(" and not _is_number(self.next)):
            raise self.error(f"a number is missing{f' before {self.next!r}' if self.next else ''}")
        if self.take() != "(":
            return self.number(self.tokens[self.at - 1][0])
        value = self.sum()
        if self.next != ")":
            raise self.error("a bracket is not closed")
        self.take()
        return value

    def number(self, text: str) -> Fraction:
        digits, _, exponent = text.lower().partition("e")
        if len(digits) > DIGITS or len(exponent) > len(str(DIGITS)) + 1 or abs(int(exponent or 0)) > DIGITS:
            self.at -= 1
            raise self.error(f"a number has at most {DIGITS} digits, and an exponent up to {DIGITS}")
        return Fraction(text)
