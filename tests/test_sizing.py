"""Sizes of typed formulas: the work to find them grows as the formula does."""

from collections import Counter

import pytest

import chainrule as cr
from chainrule.reading import Reading
from chainrule.sizing import Sizes

LONG = {
    "sum": lambda n: f"sum({' + '.join(['x'] * n)})",
    "products": lambda n: f"sum({' + '.join(['A x'] * n)})",
    "numbers": lambda n: " + ".join(f"a{i} b{i}" for i in range(n)),
    "names": lambda n: f"sum({' + '.join(f'x{i}' for i in range(n))})",
    "divided": lambda n: f"sum({' + '.join(['x / a'] * n)})",
    "quotients": lambda n: " + ".join(f"x{i}'x{i} / a{i}" for i in range(n)),
    "chain": lambda n: f"sum({' '.join(['X'] * n)})",
    "diagonals": lambda n: f"sum({' '.join(['diag(x)'] * n)} x)",
}


@pytest.mark.parametrize("kind", LONG)
def test_twice_the_terms_are_twice_the_tries(kind, monkeypatch):
    calls = Counter()

    def counted(function, name):
        def call(*args, **kwargs):
            calls[name] += 1
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(Reading, "_resolve", counted(Reading._resolve, "resolve"))
    monkeypatch.setattr(Sizes, "root", counted(Sizes.root, "root"))
    monkeypatch.setattr(Sizes, "value", counted(Sizes.value, "value"))
    tries = []
    for n in (40, 80):
        calls.clear()
        cr.parse(LONG[kind](n))
        tries.append(dict(calls))

    assert all(0 < tries[1][name] <= 2.2 * tries[0][name] for name in tries[0])


def test_a_long_chain_of_equal_sizes_is_walked_once():
    class Watched(list):
        read = 0

        def __getitem__(self, i):
            self.read += 1
            return super().__getitem__(i)

    sizes = Sizes()
    unknown = [sizes.new() for _ in range(1000)]
    for a, b in zip(unknown[1:], unknown, strict=False):
        sizes.make_equal(a, b)
    sizes._same = Watched(sizes._same)

    for _ in range(100):
        sizes.root(unknown[0])

    assert sizes._same.read < 10_000


def test_who_watches_a_size_is_told_once_it_is_known():
    sizes = Sizes()
    a, b, c = sizes.new(), sizes.new(), sizes.new()
    sizes.watch(a, 1)
    sizes.watch(b, 2)

    sizes.make_equal(a, b)
    sizes.make_equal(b, c)
    assert sizes.news == []
    sizes.make_equal(c, sizes.of("n"))
    assert sorted(sizes.news) == [1, 2]
