"""Printed programs in every language, executed: steps, parts and whole programs against the interpreter."""

import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from program.random_expressions import BINARY, UNARY, applied, expressions, random_values, value_and_size
from program.run_languages import run_part, run_program

import chainrule as cr
from chainrule.errors import DataError
from chainrule.program import breaking
from chainrule.program.languages import LANGUAGES
from chainrule.updates import UPDATES, UpdateRule

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT))  # for `benchmarks`, which is not installed

MARKS = {"octave": "octave", "c": "gcc", "torch": "oracle", "jax": "oracle", "array-api, PyTorch": "oracle"}


def marked(names):
    return [pytest.param(name, marks=getattr(pytest.mark, MARKS[name]) if name in MARKS else ()) for name in names]


in_every_language = pytest.mark.parametrize("language", marked(LANGUAGES))


def ratios(name, count, seed):
    from benchmarks.languages import RUNNERS, cases, error

    drawn = list(cases(count, np.random.default_rng(seed)))
    return [error(found, case.expected()) for found, case in zip(RUNNERS[name](drawn), drawn, strict=True)]


# ---- steps of random networks


@pytest.mark.parametrize("language", marked(["numpy", "numpy-inplace", "octave", "torch", "python", "c"]))
def test_a_step_computes_what_the_interpreter_says(language):
    assert max(ratios(language, 8, seed=1)) <= 1


@pytest.mark.parametrize("language", marked(["numpy", "numpy-inplace", "octave", "python", "c"]))
def test_a_step_of_short_lines_computes_what_the_interpreter_says(language, monkeypatch):
    monkeypatch.setattr(breaking, "WIDTH", 30)  # almost every statement goes on

    assert max(ratios(language, 8, seed=3)) <= 1


@pytest.mark.oracle
def test_a_step_of_jax_computes_what_the_interpreter_says():
    assert max(ratios("jax", 2, seed=1)) <= 1  # most of the time is compiling


@pytest.mark.parametrize("module", marked(["array-api, array-api-strict", "array-api, PyTorch"]))
def test_a_step_runs_on_another_array_library(module):
    """In a process of its own: SciPy's erf takes other arrays where it is told so before it is imported."""
    code = f"""
import numpy as np
from benchmarks.languages import RUNNERS, cases, error
drawn = list(cases(8, np.random.default_rng(1)))
print(max(error(a, c.expected()) for a, c in zip(RUNNERS[{module!r}](drawn), drawn, strict=True)))
"""
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )

    assert not done.returncode, done.stderr
    assert float(done.stdout) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("language", marked(["numpy", "numpy-inplace", "octave", "torch", "python", "c"]))
def test_the_steps_of_200_networks_are_those_of_the_interpreter(language):
    assert max(ratios(language, 200, seed=2)) <= 1


def test_everything_that_may_be_declared_is_drawn():
    from benchmarks.languages import draw

    rng = np.random.default_rng(0)
    derivations = [draw(rng).derivation for _ in range(90)]

    assert {d["W1_next"].rule for d in derivations} == set(UPDATES)
    assert {d.layout for d in derivations} == {"rows", "columns"}
    assert {d.convention.bias for d in derivations} == {"row", "column", "ones", "none"}
    assert {d.convention.place for d in derivations} == {"delta", "gradient", "step"}
    assert {d.convention.sign for d in derivations} == {"descent", "ascent"}
    assert {bool(d.listing.rates) for d in derivations} == {True, False}
    assert {len(d.listing.data) for d in derivations} == {2, 3}
    assert {bool(d.listing.randoms) for d in derivations} == {True, False}


def test_an_error_in_the_tenth_digit_is_found():
    from benchmarks.languages import RUNNERS, cases, error

    (case,) = cases(1, np.random.default_rng(5))
    expected = case.expected()
    assert error(RUNNERS["numpy"]([case])[0], expected) <= 1
    for i, a in enumerate(expected):
        wrong = a + 2e-10 * max(1, abs(a).max())
        assert not error([*expected[:i], wrong, *expected[i + 1 :]], expected) <= 1
        assert not error([*expected[:i], a * np.nan, *expected[i + 1 :]], expected) <= 1
    assert not error([*expected[:-1], expected[-1][:0]], expected) <= 1


def test_a_failure_of_the_benchmark_is_told_with_its_seed_and_network(monkeypatch):
    from benchmarks import languages
    from benchmarks.languages import Lot, drawn, work

    numpy = languages.RUNNERS["numpy"]

    def wrong(given):
        return [[a + 1e-3 for a in found] for found in numpy(given)]

    def breaks(given):
        if any(case.declared == drawn(5, 3).declared for case in given):
            raise RuntimeError("it does not compile")
        return numpy(given)

    monkeypatch.setattr(languages, "RUNNERS", {"numpy": numpy, "wrong": wrong, "breaks": breaks})

    found = work(Lot(seed=5, first=2, count=3, sampled=2))

    assert [(found[name].count, len(found[name].failures)) for name in found] == [(3, 0), (2, 2), (2, 1)]
    assert found["numpy"].worst <= 1 < found["wrong"].worst
    (told,) = found["breaks"].failures
    again = "breaks, --seed 5 --first 3 --count 1 --sample 1: "
    assert told == f"{again}{drawn(5, 3).declared}: it does not compile"
    assert re.search(r"Network\('.*', loss='.*'.*\)\.derive\(layout=.*solver='", told)


# ---- every record, and parts

ENTRYWISE_AND_ROWWISE = [*UNARY, *BINARY]


@in_every_language
def test_every_record_means_in_every_language_what_the_interpreter_says(language):
    M, N = cr.matrix("M", 3, 4), cr.matrix("N", 3, 4)
    rng = np.random.default_rng(0)
    values = {"M": rng.uniform(-3, 3, (3, 4)), "N": rng.uniform(-3, 3, (3, 4))}
    values["M"][1, 2] = values["M"][1, 0]  # equals in one row
    named = {f"out{i}": f(M, N) if f.operands == 2 else applied(f, M) for i, f in enumerate(ENTRYWISE_AND_ROWWISE)}

    found = run_part(language, cr.source(named, language=language), values, {k: e.shape for k, e in named.items()})

    for name, e in named.items():
        np.testing.assert_allclose(
            np.reshape(found[name], e.shape), cr.evaluate(e, values), rtol=1e-12, atol=1e-14, err_msg=str(e)
        )


@pytest.mark.parametrize("language", ["numpy-inplace", "array-api", "python"])
@given(expression=expressions(), seed=st.integers(0, 2**32))
def test_any_expression_means_in_other_languages_what_the_interpreter_says(language, expression, seed):
    values = random_values(expression, seed)
    expected, size = value_and_size(expression, values)
    assume(size < 1e4)
    text = cr.source({"result": expression}, language=language)

    found = np.asarray(run_part(language, text, values, {})["result"], float)

    assert found.size == expected.size
    assert np.max(np.abs(found.reshape(expected.shape) - expected)) <= 1e-12 * size


def many_expressions(count):
    """Random expressions of which the interpreter's values are of ordinary size, and numbers for all their symbols."""
    drawn, values = [], {}

    @settings(max_examples=count, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(expressions())
    def draw(expression):
        values.update(random_values(expression, 7))
        drawn.append(expression)

    draw()
    found = {expression: value_and_size(expression, values) for expression in drawn}
    return {expression: (value, size) for expression, (value, size) in found.items() if size < 1e4}, values


@pytest.mark.parametrize("language", marked(["octave", "torch", "c"]))
def test_many_expressions_at_once_mean_what_the_interpreter_says(language):
    drawn, values = many_expressions(60)
    named = {f"out{i}": e for i, e in enumerate(drawn)}
    shapes = {name: drawn[e][0].shape for name, e in named.items()}

    found = run_part(language, cr.source(named, language=language), values, shapes)

    assert len(drawn) > 20
    for name, e in named.items():
        expected, size = drawn[e]
        assert np.max(np.abs(np.reshape(found[name], expected.shape) - expected)) <= 1e-12 * size, cr.text(e)


SPECS = [
    "4 -> 5 relu -> 3 softmax",
    "4 -> 4 gelu residual -> 5 mish dropout=0.25 -> 1 logistic",
    "1 -> 1 softplus -> 1",
]


@in_every_language
@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("spec", SPECS)
def test_the_parts_one_after_another_compute_what_the_equations_say(language, layout, spec):
    from benchmarks.languages import draw_values

    d = cr.Network(spec, penalty=cr.l1(0.1) + cr.l2(0.01)).derive(layout, solver="nadam", sample_weight=True)
    values = draw_values(d, np.random.default_rng(0))
    text = "\n".join(d.source(language, part) for part in ("forward", "backward", "update"))
    n = values["X"].shape[0 if layout == "rows" else 1]
    sized = lambda shape: tuple(n if s == "n" else s for s in shape)
    shapes = {e.name.removesuffix("_next"): sized(e.shape) for e in d.equations}

    found = run_part(language, text, {"n": n, **values}, shapes)

    for e in d.equations:
        expected = cr.evaluate(e.expression, values)
        result = np.reshape(found[e.name.removesuffix("_next")], expected.shape)
        if e.phase != "update" and f"{e.name}_next" in d:
            continue  # it has its next value now
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12 * max(1, abs(expected).max()), err_msg=e.name)


# ---- whole programs


@pytest.mark.row(93)
@in_every_language
@pytest.mark.parametrize(
    ("spec", "options", "derived"),
    [
        ("5 -> 8 tanh dropout=0.1 -> 3 softmax", {"penalty": "l2(0.001)"}, {"solver": "adam", "sample_weight": True}),
        ("5 -> 8 relu -> 1", {"loss": "hinge", "reduction": "sum"}, {"layout": "columns"}),
    ],
)
def test_a_program_trains(language, spec, options, derived, tmp_path):
    text = cr.Network(spec, **options).derive(**derived).source(language)

    losses = [float(line.split()[-1]) for line in run_program(language, text, tmp_path).splitlines()]

    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert "chainrule" not in text


@in_every_language
def test_no_part_needs_a_helper(language):
    """Nothing is called but the language's own library and the functions that the program itself defines."""
    d = cr.Network("3 -> 4 gelu -> 2 softmax").derive(solver="adam")
    text = d.source(language)

    assert "chainrule" not in text
    for e in d.equations[:4]:
        assert str(e) in text  # as a comment


def commented(text, language):
    """Each run of comment lines as one string, with the code that follows it."""
    start, end = (sign.strip() for sign in LANGUAGES[language].comment)
    blocks = [[[], []]]
    for line in (line.strip() for line in text.splitlines() if line.strip()):
        if line.startswith(start):
            blocks += [[[], []]] if blocks[-1][1] else []
            blocks[-1][0].append(line.removeprefix(start).removesuffix(end).strip())
        else:
            blocks[-1][1].append(line)
    return [(" ".join(" ".join(said).split()), "\n".join(code)) for said, code in blocks]


@pytest.mark.parametrize("solver", UPDATES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_statement_of_a_step_has_its_own_equation_above_it(language, solver):
    d = cr.Network("3 -> 2 tanh -> 2 softmax", penalty="l2(0.1)").derive(solver=solver)

    blocks = commented(d.source(language, "step"), language)

    for e in d.equations:
        (code,) = [code for said, code in blocks if said.removeprefix(f"---- {e.phase} ") == str(e)]
        assert re.search(rf"\b{e.name.removesuffix('_next')}\b", code)


@pytest.mark.parametrize(("solver", "gaps"), [("sgd", 0), ("adam", 3)])
def test_updates_of_several_equations_are_set_apart_by_parameter(solver, gaps):
    text = cr.Network("3 -> 2 tanh -> 2 softmax").derive(solver=solver).source("numpy", "step")

    after = text[text.index("# ---- update") : text.index("return")].rstrip()

    assert after.count("\n\n") == gaps


def test_targets_are_made_of_which_the_facts_hold(capsys):
    def targets(spec, **options):
        namespace = {"__name__": "__main__"}
        exec(cr.Network(spec, **options).derive().source(), namespace)
        return namespace["Y"]

    assert set(np.unique(targets("2 -> 3 tanh -> 2", loss="hinge"))) == {-1, 1}
    assert set(np.unique(targets("2 -> 3 tanh -> 2 logistic"))) == {0, 1}
    assert (targets("2 -> 3 tanh -> 4 softmax").sum(axis=1) == 1).all()
    assert targets("2 -> 3 tanh -> 2 softplus", loss="poisson").min() >= 0
    assert targets("2 -> 3 tanh -> 2").min() < 0


def test_a_sum_over_rows_is_trained_at_a_rate_divided_by_them():
    rate = lambda solver, reduction: cr.Network("2 -> 1", reduction=reduction).derive(solver=solver).listing.rate

    assert [rate("sgd", "mean"), rate("sgd", "sum"), rate("momentum", "sum")] == ["0.1", "0.1 / n", "0.01 / n"]
    assert rate("adam", "sum") == rate("adam", "mean") == "0.001"  # it does not depend on the scale of a gradient


# ---- in place


def peak(step, arguments):
    step(**arguments)
    tracemalloc.start()
    step(**arguments)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return highest


@pytest.mark.parametrize("solver", ["sgd", "adam", "amsgrad"])
def test_the_loop_in_place_allocates_no_array(solver):
    d = cr.Network("10 -> 12 gelu -> 12 mish residual -> 5 softmax", penalty=cr.l2(0.1)).derive(solver=solver)
    rng, n = np.random.default_rng(0), 20_000
    shaped = {s.name: tuple(n if k == "n" else k for k in s.shape) for s in (*d.listing.data, *d.listing.kept)}
    arguments = {name: rng.uniform(0.1, 0.5, shape) for name, shape in shaped.items()}
    namespace, plain = {}, {}
    exec(d.source("numpy-inplace", "step"), namespace)
    exec(d.source("numpy", "step"), plain)

    smallest = 8 * n  # of the arrays with n rows; NumPy has a buffer of half of that for what it repeats

    assert peak(namespace["make_step"](n), arguments) < smallest
    assert peak(plain["step"], arguments) > 50 * smallest


def test_a_matrix_is_not_written_over_while_it_is_read_elsewhere(monkeypatch):
    """C and NumPy in place would read entries that are new already."""

    def orthogonal(p, lr):
        p.next(p.parameter, p.parameter - lr * (p.parameter @ (p.parameter.T @ p.gradient)))

    monkeypatch.setitem(UPDATES, "orthogonal", UpdateRule("orthogonal", orthogonal, {"lr": 0.5}, ""))
    d = cr.Network("2 -> 2 nobias").derive(solver="orthogonal")

    for language in ("numpy-inplace", "c"):
        lines = d.source(language, part="update").splitlines()
        assert any("W1_next" in line and ("memcpy(W1" in line or "W1[...]" in line) for line in lines)


# ---- golden text

BACKWARD = {
    "octave": """\
dZ1 = (A1 - Y) / n;
db1 = sum(dZ1, 1);
dW1 = X' * dZ1;""",
    "torch": """\
dZ1 = (A1 - Y) / n
db1 = dZ1.sum(dim=0, keepdim=True)
dW1 = X.T @ dZ1""",
    "array-api": """\
dZ1 = (A1 - Y) / n
db1 = xp.sum(dZ1, axis=0, keepdims=True)
dW1 = X.T @ dZ1""",
    "numpy-inplace": """\
dZ1 = np.empty((n, 3))
db1 = np.empty((1, 3))
dW1 = np.empty((2, 3))
t1 = np.ones((1, n))

# ---- backward
# dZ1 = (A1 - Y)/n
np.subtract(A1, Y, out=dZ1)
np.divide(dZ1, n, out=dZ1)
# db1 = 1' dZ1
np.matmul(t1, dZ1, out=db1)
# dW1 = X' dZ1
np.matmul(X.T, dZ1, out=dW1)""",
    "python": """\
# ---- backward
# dZ1 = (A1 - Y)/n
dZ1 = [[(A1[i][j] - Y[i][j]) / n for j in range(3)] for i in range(n)]
# db1 = 1' dZ1
db1 = [[sum(dZ1[k][j] for k in range(n)) for j in range(3)]]
# dW1 = X' dZ1
dW1 = [
    [sum(X[k][i] * dZ1[k][j] for k in range(n)) for j in range(3)]
    for i in range(2)
]""",
    "c": """\
double (*dZ1)[3] = malloc(sizeof(double[n][3]));
double (*db1)[3] = malloc(sizeof(double[1][3]));
double (*dW1)[3] = malloc(sizeof(double[2][3]));

/* ---- backward */
/* dZ1 = (A1 - Y)/n */
for (int i = 0; i < n; i++) {
    for (int j = 0; j < 3; j++)
        dZ1[i][j] = (A1[i][j] - Y[i][j]) / n;
}
/* db1 = 1' dZ1 */
for (int j = 0; j < 3; j++) {
    double sum = 0.0;
    for (int k = 0; k < n; k++)
        sum += dZ1[k][j];
    db1[0][j] = sum;
}
/* dW1 = X' dZ1 */
for (int i = 0; i < 2; i++) {
    for (int j = 0; j < 3; j++) {
        double sum = 0.0;
        for (int k = 0; k < n; k++)
            sum += X[k][i] * dZ1[k][j];
        dW1[i][j] = sum;
    }
}""",
}


@pytest.mark.parametrize("language", BACKWARD)
def test_a_layer_is_written_as_a_person_would(language):
    assert cr.Network("2 -> 3").derive().source(language, "backward") == BACKWARD[language]


@in_every_language
def test_a_matrix_may_be_given_a_new_value(language):
    W = cr.matrix("W", 2, 3)
    text = cr.source({"W": W - 0.1 * W * W}, language=language)

    found = run_part(language, text, {"W": np.arange(6.0).reshape(2, 3)}, {"W": (2, 3)})

    np.testing.assert_allclose(found["W"], np.arange(6.0).reshape(2, 3) * (1 - 0.1 * np.arange(6.0).reshape(2, 3)))


@pytest.mark.parametrize("language", marked(["python", "c"]))
def test_indices_keep_clear_of_names_and_sizes(language):
    A, B = cr.matrix("i", "k", "j"), cr.matrix("B", "j", "k")
    rng = np.random.default_rng(0)
    values = {"k": 2, "j": 3, "i": rng.normal(size=(2, 3)), "B": rng.normal(size=(3, 2))}

    text = cr.source({"p": A @ cr.tanh(B)}, language=language)
    found = run_part(language, text, values, {"p": (2, 2)})

    np.testing.assert_allclose(found["p"], values["i"] @ np.tanh(values["B"]))


# ---- errors


@pytest.mark.parametrize(
    ("language", "name", "message"),
    [
        ("c", "double", "'double' has a meaning of its own in a program of c"),
        ("c", "λ", "'λ' is no name in c"),
        ("octave", "end", "'end' has a meaning of its own in a program of octave"),
        ("python", "sum", "'sum' has a meaning of its own in a program of python"),
        ("torch", "torch", "'torch' has a meaning of its own in a program of torch"),
    ],
)
def test_a_name_that_the_language_needs_is_refused(language, name, message):
    with pytest.raises(DataError, match=message):
        cr.source({"out": -cr.matrix(name, 2, 2)}, language=language)


@pytest.mark.parametrize("language", ["c", "numpy-inplace"])
def test_a_matrix_that_would_be_written_over_while_it_is_read_is_refused(language):
    W = cr.matrix("W", 2, 2)
    with pytest.raises(DataError, match="'W' would be written over while it is read: give the result another name"):
        cr.source({"W": W @ W}, language=language)


def test_a_primitive_without_a_word_is_named():
    hypot = cr.elementwise("cube_root", d=lambda x, y: y, kernel=np.cbrt, numpy="np.cbrt({0})")

    assert cr.source({"out": hypot(cr.matrix("A", 2, 2))}) == "out = np.cbrt(A)"
    with pytest.raises(DataError, match="octave has no word for cube_root, which no other function defines; numpy has"):
        cr.source({"out": hypot(cr.matrix("A", 2, 2))}, language="octave")


def test_a_new_activation_is_written_in_every_language_by_its_definition():
    bent = cr.elementwise("bent", lambda x: x + 0.5 * (cr.sqrt(x * x + 1) - 1))
    written = {name: cr.source({"A": bent(cr.matrix("Z", "n", 2))}, language=name) for name in LANGUAGES}

    assert written["octave"] == "A = Z + (sqrt(Z .* Z + 1) - 1) / 2;"
    assert "A[i][j] = Z[i][j] + (sqrt(Z[i][j] * Z[i][j] + 1.0) - 1.0) / 2.0;" in written["c"]
