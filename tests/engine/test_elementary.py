"""The engine's elementary functions against references of more digits, over the whole range of their type."""

import importlib.util
import math
import re
import subprocess
import sys
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from numba import njit

import chainrule.primitives  # noqa: F401, enters the records of the rule book
from chainrule.engine import constants
from chainrule.engine.compiled import OPTIONS
from chainrule.engine.elementary import FLOAT32, FLOAT64
from chainrule.engine.entries import ENTRIES
from chainrule.engine.lanes import fma
from chainrule.engine.vector import BYTES, Entry, one_of
from chainrule.engine.words import WORDS
from chainrule.functions import FUNCTIONS

TABLES = {np.float32: FLOAT32, np.float64: FLOAT64}
OF_ONE = sorted(set(FLOAT32) - {"maximum", "minimum", "power"})
EVERY = [(kind, name) for kind in TABLES for name in OF_ONE]
OURS = [(kind, name) for kind, name in EVERY if (kind, name) not in {(np.float64, "sin"), (np.float64, "cos")}]
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "elementary_constants.py"

long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="long double has no more digits than float64 here"
)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


REFERENCES = {  # in whatever type x has
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "logistic": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x))),
    "softplus": softplus,
    "log_softplus": lambda x: np.where(x < -40, x, np.log(softplus(np.maximum(x, -40)))),
    "x_log_x": lambda x: np.where(x == 0, 0, x * np.log(x)),
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "sin": np.sin,
    "cos": np.cos,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
    "step": lambda x: np.heaviside(x, 0),
    "reciprocal": lambda x: 1 / x,
}


def compiled(entry):
    """Return a compiled function that fills D by the entries of A and B and a number."""
    one = one_of({0: entry})

    @njit(**OPTIONS)
    def over(D, A, B, s):
        one(0, len(A), D.ctypes.data, A.ctypes.data, B.ctypes.data, s, s)

    return over


@cache
def loop(name):
    return compiled(ENTRIES[WORDS[name]])


def applied(run, x, y=None, *, s=0):
    D = np.empty_like(x)
    run(D, x, x if y is None else y, x.dtype.type(s))
    return D


def stated_error(function, kind):
    """Return the bound that a docstring states for a type."""
    bounds = re.search(r"Error: ([\d.]+)(?:, ([\d.]+))?", function.__doc__).groups()
    return float(bounds[1] if kind is np.float64 and bounds[1] else bounds[0])


def error_in_ulp(y, exact):
    """Return the largest error of y in units of the last place; infinities and NaN must be where they belong."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(y.dtype)
    finite = np.isfinite(rounded)
    assert np.array_equal(y[~finite], rounded[~finite], equal_nan=True)
    assert np.isfinite(y[finite]).all()
    last = np.frexp(rounded[finite])[1] - np.finfo(y.dtype).nmant - 1
    ulp = np.ldexp(exact.dtype.type(1), np.maximum(last, np.finfo(y.dtype).minexp - np.finfo(y.dtype).nmant))
    return float((np.abs(y[finite] - exact[finite]) / ulp).max(initial=0))


def corners(kind):
    """The numbers beside every place where a function changes its form, overflows or vanishes."""
    near = [0.25, 0.5, 0.625, 1, 2, 4, 6, 9, 10, 16.635532, 17.3287, 20, 28, 36, 40, 88.72284, 103.97208, 745.1332]
    near += [math.sqrt(0.5), math.sqrt(2), math.log(2) / 2, math.log(2), math.pi / 2, math.pi, 709.7827, 0.5413248546]
    near += [2.0**k for k in (-126, -24, -23, 22, 23, 24, 25)]
    near += [2.0**k for k in (-1022, -53, 52, 53, 54)] if kind is np.float64 else []
    around = np.array([[1 + i * np.finfo(kind).eps for i in range(-8, 9)]]) * np.array(near)[:, None]
    return around.ravel().astype(kind)


def every_exponent(kind, mantissas):
    """Random mantissas with every exponent, both signs, and the corners."""
    bits, digits = (np.uint32, 23) if kind is np.float32 else (np.uint64, 52)
    exponents = np.arange(np.finfo(kind).maxexp * 2 - 1, dtype=bits)[:, None] << bits(digits)
    low = np.random.default_rng(0).integers(0, 1 << digits, (len(exponents), mantissas), dtype=bits)
    low[:, :2] = [0, (1 << digits) - 1]
    x = np.concatenate([(exponents | low).ravel().view(kind), corners(kind)])
    return np.concatenate([x, -x])


def middle(kind):
    """Entries as networks have them."""
    rng = np.random.default_rng(1)
    parts = [rng.normal(0, s, 20_000) for s in (0.01, 0.3, 1, 3, 10, 50)] + [rng.uniform(-3, 3, 40_000)]
    return np.concatenate(parts).astype(kind)


@pytest.mark.parametrize("name", OF_ONE)
def test_float32_is_as_close_as_its_docstring_says(name):
    x = np.concatenate([every_exponent(np.float32, 512), middle(np.float32)])

    y = applied(loop(name), x)

    with np.errstate(all="ignore"):
        exact = REFERENCES[name](x.astype(np.float64))
    assert error_in_ulp(y, exact) <= stated_error(FLOAT32[name], np.float32) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_ONE)
def test_float32_is_as_close_on_every_hundredth_number(name):
    for start in range(0, 0x7F800000, 101 << 20):
        x = np.arange(start, min(start + (101 << 20), 0x7F800000), 101, dtype=np.uint32).view(np.float32)
        for signed in (x, -x):
            y = applied(loop(name), signed)
            with np.errstate(all="ignore"):
                exact = REFERENCES[name](signed.astype(np.float64))
            assert error_in_ulp(y, exact) <= stated_error(FLOAT32[name], np.float32)


@long_double
@pytest.mark.parametrize("name", sorted(set(OF_ONE) - {"erf", "erfc", "sin", "cos", "log_softplus"}))
def test_float64_is_as_close_as_its_docstring_says(name):
    x = np.concatenate([every_exponent(np.float64, 64), middle(np.float64)])

    y = applied(loop(name), x)

    with np.errstate(all="ignore"):
        exact = REFERENCES[name](x.astype(np.longdouble))
    assert error_in_ulp(y, exact) <= stated_error(FLOAT64[name], np.float64) <= 2


@long_double
def test_log_softplus_is_as_close_to_its_zero_as_numbers_beside_one_allow():
    x = np.concatenate([every_exponent(np.float64, 64), middle(np.float64)])

    y = applied(loop("log_softplus"), x)

    with np.errstate(all="ignore"):
        exact = REFERENCES["log_softplus"](x.astype(np.longdouble))
        error = np.abs(y - exact) / np.maximum(np.abs(exact), 1)
    assert error[np.isfinite(exact)].max() <= 2 * np.finfo(np.float64).eps
    assert np.array_equal(y[~np.isfinite(exact)], exact[~np.isfinite(exact)])


@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_float64_error_functions_agree_with_their_series(name):
    script = load_script()
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(-6.5, 6.5, 400), rng.uniform(0, 27.3, 300), 10 ** rng.uniform(-310, 0, 100)])
    x = np.concatenate([x, [0.0, 0.49999999999999994, 0.5, 0.9999999999999999, 1.0, 26.543, 27.2]])

    y = applied(loop(name), x)

    assert worst_of_series(script, name, x, y) <= stated_error(FLOAT64[name], np.float64)


def worst_of_series(script, name, x, y):
    worst = 0.0
    for at, got in zip(map(float, x), map(float, y), strict=True):
        d = Decimal(at)
        tail = script.scaled_erfc(d) * (-d * d).exp() if d > 0 else None
        erf = d * script.erf_ratio(d * d) if abs(d) < 1 or d < 0 else 1 - tail
        exact = erf if name == "erf" else tail if d > 1 else 1 - erf
        worst = max(worst, float(abs(Decimal(got) - exact) / Decimal(float(np.spacing(abs(float(exact)))))))
    return worst


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("p", [2, 3, -1, 0.5, 1, 0, 1.7, -1.7, 5, -2, 4, -3, 0.1, -0.5, 1 / 3, 100])
def test_powers_agree_with_numpy_in_more_digits(kind, p):
    x = np.concatenate([every_exponent(kind, 16), middle(kind), np.array([0.0, -0.0, np.inf, -np.inf, np.nan], kind)])
    more = np.float64 if kind is np.float32 else np.longdouble

    y = applied(loop("power"), x, s=p)

    with np.errstate(all="ignore"):
        exact = np.power(x.astype(more), np.full(x.shape, kind(p), more))  # a number alone would be np.sqrt at 1/2
    assert error_in_ulp(y, exact) <= stated_error(TABLES[kind]["power"], kind) <= 2
    signed = ~np.isnan(exact)
    assert np.array_equal(np.signbit(y[signed]), np.signbit(exact[signed]))


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_the_choice_of_two_is_as_in_numpy(kind, name):
    some = np.array([-np.inf, -2, -1, 0, 1, 2, np.inf, np.nan], kind)
    a, b = np.repeat(some, len(some)), np.tile(some, len(some))

    y = applied(loop(name), a, b)

    np.testing.assert_array_equal(y, getattr(np, name)(a, b))


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_signed_zeros_infinities_and_nan_are_as_in_the_reference(kind, name):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, np.finfo(kind).max, -np.finfo(kind).max], kind)
    tiny = np.array([np.finfo(kind).smallest_subnormal, -np.finfo(kind).smallest_subnormal], kind)
    x = np.concatenate([x, tiny])

    y = applied(loop(name), x)

    with np.errstate(all="ignore"):
        expected = REFERENCES[name](x.astype(np.longdouble if name not in {"erf", "erfc"} else kind)).astype(kind)
    zeros = expected == 0
    assert np.array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(kind).eps, atol=0)
    assert np.array_equal(np.signbit(y[zeros]), np.signbit(expected[zeros]))


@pytest.mark.parametrize(("kind", "name"), OURS)
def test_an_entry_has_the_same_bits_wherever_it_stands(kind, name):
    x = np.random.default_rng(3).normal(0, 3, 67).astype(kind)
    run = loop(name)

    whole = applied(run, x)

    alone = np.concatenate([applied(run, x[i : i + 1]) for i in range(len(x))])
    tails = [applied(run, x[i:])[0] for i in range(len(x))]
    np.testing.assert_array_equal(alone, whole)
    np.testing.assert_array_equal(tails, whole)


@pytest.mark.parametrize(("kind", "name"), OURS)
def test_a_loop_becomes_vector_instructions(kind, name):
    run = loop(name)
    applied(run, np.ones(3, kind))

    (text,) = (text for types, text in run.inspect_llvm().items() if types[0].dtype.name == np.dtype(kind).name)

    lanes = re.findall(rf"store <(\d+) x {'float' if kind is np.float32 else 'double'}>", text)
    assert str(BYTES // np.dtype(kind).itemsize) in lanes
    assert min(map(int, lanes)) > 1


def test_a_planted_error_is_found():
    x = middle(np.float32)

    y = applied(loop("exp"), x) * np.float32(1 + 3e-7)

    assert error_in_ulp(y, np.exp(x.astype(np.float64))) > 2
    with pytest.raises(AssertionError):
        error_in_ulp(np.zeros(1, np.float32), np.array([np.nan]))


def test_a_fused_multiply_add_is_rounded_once():
    residue = compiled(Entry(1, lambda a, s, t: fma(a, a, -(a * a))))

    assert (applied(residue, np.full(5, 1 + 2.0**-30)) == 2.0**-60).all()


@pytest.mark.parametrize("kind", TABLES)
def test_every_elementwise_primitive_of_the_rule_book_is_there(kind):
    primitives = {f.name for f in FUNCTIONS.values() if f.kernel is not None and f.elementwise}

    assert primitives == set(TABLES[kind])


@cache
def load_script():
    spec = importlib.util.spec_from_file_location("elementary_constants", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_constants_are_those_of_the_script():
    script = load_script()
    text = " ".join(Path(constants.__file__).read_text("utf-8").split())

    for kind, table in ((np.float32, script.FLOAT32), (np.float64, script.FLOAT64)):
        for function, interval, degree in table.values():
            values = [str(kind(str(c))) for c in script.interpolate(function, *interval, degree)]
            assert ", ".join(values) in text
    assert ", ".join(map(str, script.two_over_pi())) in text


def test_only_the_engine_imports_numba():
    text = "import sys, chainrule; chainrule.Network; sys.exit('numba' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0
