"""Sizes of typed formulas: unknowns that are made equal, until every shape is known or two sizes contradict.

What is decided here only by shapes: whether side by side means a matrix product or a number times a matrix.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, count

from chainrule.shapes import Size

Unknown = int  # a place in `Sizes`
Pair = tuple[Unknown, Unknown]  # of a shape

FREE = ("n", "d", "k", "m", "p", "q", "r", "h", "l", "u", "v")  # names for sizes that nobody named


class Sizes:
    """Sizes that may be equal to each other, and to a number or a name."""

    def __init__(self) -> None:
        self._same: list[Unknown] = []
        self._value: list[Size | None] = []
        self._of_matrices: list[bool] = []
        self._watchers: dict[Unknown, list[int]] = {}  # by the one that stands for all
        self.news: list[int] = []  # who waited for a size that is known by now
        self.one = self.of(1)

    def new(self) -> Unknown:
        """A size of which nothing is known."""
        self._same.append(len(self._same))
        self._value.append(None)
        self._of_matrices.append(False)
        return len(self._same) - 1

    def of(self, value: Size) -> Unknown:
        """A size that is known."""
        unknown = self.new()
        self._value[unknown] = value
        return unknown

    def root(self, a: Unknown) -> Unknown:
        """The one that stands for all that are equal to it."""
        while (up := self._same[a]) != a:
            self._same[a] = a = self._same[up]  # half the way the next time
        return a

    def value(self, a: Unknown) -> Size | None:
        """The number or name, where it is known."""
        return self._value[self.root(a)]

    def can_be_equal(self, a: Unknown, b: Unknown) -> bool:
        """Does nothing speak against it?"""
        x, y = self.value(a), self.value(b)
        return x is None or y is None or x == y

    def make_equal(self, a: Unknown, b: Unknown) -> bool:
        """Make them one size; False where they cannot be."""
        if not self.can_be_equal(a, b):
            return False
        a, b = self.root(a), self.root(b)
        if a == b:
            return True
        value = self._value[b] if self._value[a] is None else self._value[a]
        waiting = sorted((self._watchers.pop(each, []) for each in (a, b)), key=len)
        if value is None:
            waiting[1] += waiting[0]
            self._watchers[a] = waiting[1]
        else:
            self.news += waiting[0] + waiting[1]
        self._same[b] = a
        self._value[a] = value
        self._of_matrices[a] |= self._of_matrices[b]
        return True

    def mark(self, shape: Iterable[Unknown]) -> None:
        """Say that it is of no number: of a name in upper case, of what is transposed, added up, ..."""
        for a in shape:
            self._of_matrices[self.root(a)] = True

    def is_open(self, a: Unknown) -> bool:
        """Is it of a matrix, and not known yet?"""
        return self.value(a) is None and self._of_matrices[self.root(a)]

    def watch(self, a: Unknown, watcher: int) -> None:
        """Put somebody into the news as soon as a size is known."""
        if self.value(a) is None:
            self._watchers.setdefault(self.root(a), []).append(watcher)

    def is_one(self, shape: Pair) -> bool:
        """Is it 1 x 1 for certain?"""
        return all(self.value(a) == 1 for a in shape)

    def is_not_one(self, shape: Pair) -> bool:
        """Is it certainly not 1 x 1?"""
        return any(self.value(a) not in (None, 1) for a in shape)

    def settle(self, a: Unknown, taken: set[str]) -> Size:
        """The value; where there is none, a new name."""
        value = self.value(a)
        if value is None:
            names = chain(FREE, (f"s{i}" for i in count(1)))
            value = self._value[self.root(a)] = next(name for name in names if name not in taken)
            taken.add(value)
        return value

    def show(self, shape: Pair) -> str:
        """A shape in words, with ? for what is not known."""
        rows, columns = ("?" if self.value(a) is None else self.value(a) for a in shape)
        return f"({rows} x {columns})"
