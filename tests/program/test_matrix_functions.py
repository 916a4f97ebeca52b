"""Inverse, determinant, Kronecker product and their kin in every language of whole arrays, against the interpreter."""

import sys
from pathlib import Path

import numpy as np
import pytest
from program.run_languages import run_part

import chainrule as cr
from chainrule.errors import DataError
from chainrule.matrix_functions import (
    block_products,
    combined_blocks,
    det,
    diag,
    diagonal,
    eye,
    inv,
    kron,
    logdet,
    norm,
    trace,
    unvec,
    vec,
)

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))  # for `benchmarks`, which is not installed
WHOLE_ARRAYS = [
    "numpy",
    "numpy-inplace",
    "array-api",
    pytest.param("octave", marks=pytest.mark.octave),
    pytest.param("torch", marks=pytest.mark.oracle),
    pytest.param("jax", marks=pytest.mark.oracle),
]
A, B, c = cr.matrix("A", 3, 3), cr.matrix("B", 2, 4), cr.matrix("c", 3, 1)
K = cr.matrix("K", 6, 12)  # blocks of the shape of B, 3 x 3 of them
NAMED = {
    "inverse": inv(A),
    "of_a_product": inv(A @ A.T).T,
    "determinant": det(A),
    "logdeterminant": logdet(A @ A),
    "traced": trace(A @ A.T),
    "length": norm(B),
    "length_of_a_column": norm(A @ c),
    "diagonal_matrix": diag(A @ c),
    "of_the_diagonal": diagonal(A.T @ A),
    "stacked": vec(B),
    "stacked_transpose": vec(B.T) * 2,
    "folded": unvec(vec(B) + 1, B),
    "product": kron(A, B),
    "turned": kron(A.T, B.T @ B),
    "blocks": block_products(K, B),
    "of_turned_blocks": block_products(K.T, B.T + 1),
    "combined": combined_blocks(K, A),
    "of_turned": combined_blocks(K.T, A.T @ A),
    "shifted": inv(A @ A.T + eye(3)) @ A,
}


def values():
    rng = np.random.default_rng(0)
    return {str(s.name): rng.normal(size=s.shape) for s in (A, B, c, K)}


@pytest.mark.parametrize("language", WHOLE_ARRAYS)
def test_functions_of_whole_matrices_mean_what_the_interpreter_says(language):
    text = cr.source(NAMED, language=language)

    found = run_part(language, text, values(), {name: e.shape for name, e in NAMED.items()})

    for name, e in NAMED.items():
        expected = cr.evaluate(e, values())
        error = np.abs(np.reshape(np.asarray(found[name], float), e.shape) - expected).max()
        assert error <= 1e-11 * max(1, np.abs(expected).max()), name


@pytest.mark.parametrize("language", WHOLE_ARRAYS)
def test_a_log_determinant_does_not_overflow(language):
    found = run_part(
        language, cr.source({"out": logdet(A)}, language=language), {"A": 1e200 * np.eye(3)}, {"out": (1, 1)}
    )

    assert np.reshape(np.asarray(found["out"], float), ()) == pytest.approx(600 * np.log(10), rel=1e-12)


@pytest.mark.parametrize("language", WHOLE_ARRAYS)
def test_a_derivative_with_symbolic_sizes_runs(language):
    f = cr.parse("logdet(X'X + lam I) + tr(X'X)", ["X: n x d"])
    (dX,) = cr.gradient(f.expression, f["X"])
    rng = np.random.default_rng(1)
    at = {"X": rng.normal(size=(5, 3)), "lam": np.array([[0.3]])}

    found = run_part(language, cr.source({"dX": dX}, language=language), {"n": 5, "d": 3, **at}, {"dX": (5, 3)})

    np.testing.assert_allclose(found["dX"], cr.evaluate(dX, at), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("language", ["python", "c"])
@pytest.mark.parametrize("name", ["inverse", "determinant", "product", "stacked"])
def test_languages_of_loops_say_that_they_have_no_word(language, name):
    with pytest.raises(DataError, match=f"{language} has no loops for .*: choose a language of whole arrays, as numpy"):
        cr.source({"out": NAMED[name]}, language=language)
