"""The engine's matrix products against NumPy's, at every remainder of its blocks, and that they keep to their place."""

import numpy as np
import pytest
from numba import njit

from chainrule.engine.compiled import OPTIONS
from chainrule.engine.products import DEEP, PACKED, gemm
from chainrule.engine.team import compile_kernels

A_AT, B_AT, C_AT, PACK_AT = 0, 100_000, 400_000, 500_000
BOUND = {np.float32: 2e-6, np.float64: 4e-15}  # of the sum of absolute products: some rounding errors of each term


@njit(**OPTIONS)
def product(m, base, pack, rows, width, depth, a, row, step, b, ldb, turned, c, ldc, alpha, beta):
    gemm(m, base, pack, rows, width, depth, a, row, step, b, ldb, turned, c, ldc, alpha, beta)


def multiplied(kind, rows, width, depth, *, left=False, right=False, alpha=1.0, beta=0.0):
    """Return C as the engine leaves it, C as NumPy has it, the scale of its terms, and what lies around C."""
    compile_kernels(kind)
    rng = np.random.default_rng(rows * 1000 + width * 10 + depth)
    m = np.full(PACK_AT + PACKED, np.nan, kind)
    A = rng.normal(size=(depth, rows) if left else (rows, depth)).astype(kind)
    B = rng.normal(size=(width, depth) if right else (depth, width)).astype(kind)
    C = rng.normal(size=(rows, width)).astype(kind)
    for at, X in ((A_AT, A), (B_AT, B), (C_AT, C)):
        m[at : at + X.size] = X.ravel()
    row, step = (1, rows) if left else (depth, 1)
    ldb = depth if right else width

    product(
        m, m.ctypes.data, PACK_AT, rows, width, depth, A_AT, row, step, B_AT, ldb, right, C_AT, width,
        m.dtype.type(alpha), m.dtype.type(beta),
    )  # fmt: skip

    A, B = (A.T if left else A).astype(float), (B.T if right else B).astype(float)
    around = np.concatenate([m[C_AT - 64 : C_AT], m[C_AT + C.size : C_AT + C.size + 64]])
    scale = np.abs(alpha) * (np.abs(A) @ np.abs(B)) + np.abs(beta * C)
    return m[C_AT : C_AT + C.size].reshape(C.shape), alpha * (A @ B) + beta * C, scale, around


@pytest.mark.parametrize("kind", BOUND)
@pytest.mark.parametrize(("left", "right"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 16, 31, 33])
def test_products_agree_at_every_remainder(kind, left, right, width):
    for rows in (1, 2, 5, 6, 8, 13, 33):
        for depth in (1, 3, 8, 17, 40):
            for beta in (2.0, 0.0):
                C, expected, scale, around = multiplied(
                    kind, rows, width, depth, left=left, right=right, alpha=-0.5, beta=beta
                )
                assert (np.abs(C - expected) <= BOUND[kind] * scale).all(), (rows, depth, beta)
                assert np.isnan(around).all()


@pytest.mark.parametrize("kind", BOUND)
@pytest.mark.parametrize(("left", "right"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(
    ("rows", "width", "depth"),
    [(9, 17, DEEP + 5), (70, 300, 90), (150, 300, 300), (133, 517, 261), (300, 290, 37), (270, 1, 300)],
)
def test_long_sums_and_rows_far_apart_are_packed_in_parts(kind, left, right, rows, width, depth):
    C, expected, scale, around = multiplied(kind, rows, width, depth, left=left, right=right, alpha=-0.5, beta=2.0)

    assert (np.abs(C - expected) <= 8 * BOUND[kind] * scale).all()
    assert np.isnan(around).all()


def test_with_beta_0_what_was_there_is_not_read():
    compile_kernels(np.float64)
    m = np.ones(PACK_AT + PACKED)
    m[C_AT : C_AT + 9] = np.nan

    product(m, m.ctypes.data, PACK_AT, 3, 3, 3, A_AT, 3, 1, B_AT, 3, False, C_AT, 3, 1.0, 0.0)

    assert (m[C_AT : C_AT + 9] == 3).all()


def test_rows_have_the_same_bits_in_any_company():
    whole, *_ = multiplied(np.float32, 33, 21, 40)
    compile_kernels(np.float32)
    rng = np.random.default_rng(33 * 1000 + 210 + 40)
    A = rng.normal(size=(33, 40)).astype(np.float32)
    B = rng.normal(size=(40, 21)).astype(np.float32)
    for first, last in ((0, 1), (5, 7), (2, 33)):
        m = np.zeros(PACK_AT + PACKED, np.float32)
        m[: A[first:last].size] = A[first:last].ravel()
        m[B_AT : B_AT + B.size] = B.ravel()
        one, zero = np.float32(1), np.float32(0)
        product(
            m, m.ctypes.data, PACK_AT, last - first, 21, 40, A_AT, 40, 1, B_AT, 21, False, C_AT, 21, one, zero
        )  # fmt: skip
        part = m[C_AT : C_AT + (last - first) * 21].reshape(-1, 21)
        assert np.array_equal(part, whole[first:last])


def test_a_planted_error_is_found():
    C, expected, scale, _ = multiplied(np.float32, 6, 9, 17)

    C[2, 3] += 1e-4 * scale[2, 3]

    assert not (np.abs(C - expected) <= BOUND[np.float32] * scale).all()
