"""The exceptions of the library, and words of their messages: a suggestion for an unknown name, an article.

Every exception is a ValueError, so that callers need not know this module. No check is made here.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ConventionError",
    "DataError",
    "DerivationError",
    "PairError",
    "ShapeError",
    "SpecError",
    "UnknownNameError",
]

# A longer line wraps in a terminal and its carets no longer stand under the mistake.
_LINE = 88
_MANY = 30  # names are not listed in a message


class ShapeError(ValueError):
    """Matrices whose sizes do not fit together."""


class UnknownNameError(ValueError):
    """A name that no record, symbol or parameter has."""


class DataError(ValueError):
    """Arrays that cannot be used: NaN, infinity, the wrong kind, the wrong number of rows."""


class PairError(ValueError):
    """A loss and an activation that have no meaning together."""


class ConventionError(ValueError):
    """A convention that contradicts itself, or the network that it is asked for."""


class DerivationError(ValueError):
    """A derivative that does not exist or a step that cannot be derived; `where` is what is to blame, if known."""

    def __init__(self, message: str, where: object = None) -> None:
        super().__init__(message)
        self.where = where


class SpecError(ValueError):
    """A malformed SPEC: its text is shown with carets under the mistake."""

    def __init__(self, message: str, text: str, position: int, length: int = 1) -> None:
        # All four go to `args`, from which pickle builds the exception again in another process.
        super().__init__(message, text, position, length)
        self.message = message
        self.text = text
        self.position = position
        self.length = length

    def __str__(self) -> str:
        if not self.text.strip():
            return self.message
        return f"{self.message}\n{_excerpt(self.text, self.position, self.length)}"


def nearest(name: object, known: Iterable[str], all_of_them: str = "") -> str:
    """End a message about an unknown name: the nearest known one, or all of them, or the nearest of very many.

    Parameters
    ----------
    name : object
        What was asked for, a name or not. Capitals are ignored in the comparison.
    known : iterable of str
        The names that exist.
    all_of_them : str
        Where very many names are listed, such as "see chainrule gradient --help".

    Returns
    -------
    str
        A clause that starts with ``"; "``, or ``""`` when nothing is known.

    Examples
    --------
    >>> nearest("rleu", ["tanh", "relu"])
    "; did you mean 'relu'?"
    >>> nearest("swirl", ["tanh", "relu"])
    "; known names are 'relu', 'tanh'"
    """
    names = sorted(set(known))
    if not names:
        return ""
    by_folded = {each.casefold(): each for each in names}
    folded = str(name).casefold()
    close = difflib.get_close_matches(folded, by_folded, n=1)
    if close:
        return f"; did you mean {by_folded[close[0]]!r}?"
    if len(names) > _MANY:
        close = difflib.get_close_matches(folded, by_folded, n=3, cutoff=0)
        listed = ", ".join(repr(by_folded[each]) for each in close)
        return f"; the nearest of {len(names)} names are {listed}{all_of_them and f': {all_of_them}'}"
    return "; known names are " + ", ".join(map(repr, names))


def with_article(noun: str) -> str:
    """A noun after a or an, as it is spoken: by its first letter or number, or the name of a letter that is a word.

    >>> [with_article(each) for each in ("list", "int", "n x d matrix", "k x n matrix", "8 x 3 matrix", "11", "1 x 8")]
    ['a list', 'an int', 'an n x d matrix', 'a k x n matrix', 'an 8 x 3 matrix', 'an 11', 'a 1 x 8']
    """
    first = re.findall(r"\d+|[^\W\d]\w*|$", noun)[0].lower()
    if first.isdecimal():
        return f"an {noun}" if first[0] == "8" or (len(first) % 3 == 2 and first[:2] in ("11", "18")) else f"a {noun}"
    vowels = "aefhilmnorsx" if len(first) == 1 else "aeiou"
    return f"an {noun}" if first[:1] in tuple(vowels) else f"a {noun}"


def _excerpt(text: str, position: int, length: int) -> str:
    """Two indented lines: the text, cut to one line around the mistake, and carets under it."""
    line = "".join(char if char.isprintable() else " " for char in text)
    end = position + max(length, 1)
    first = max(0, position - _LINE // 2) if len(line) > _LINE else 0
    last = first + _LINE
    before = ("..." if first else "") + line[first:position]
    after = line[position:last] + ("..." if last < len(line) else "")
    carets = "^" * max(_columns(line[position : min(end, last)]), 1)
    return f"  {before}{after}\n  {' ' * _columns(before)}{carets}"


def _columns(text: str) -> int:
    """The terminal columns that a text takes: East Asian wide 2, combining 0, the others 1."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)
