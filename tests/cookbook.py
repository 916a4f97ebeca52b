"""Identities of Petersen and Pedersen, The Matrix Cookbook (2012), by equation number, with each function by hand.

Also a few of Magnus and Neudecker, Matrix Differential Calculus (2019), marked M. The functions are plain NumPy, which
HIPS autograd differentiates: the printed derivative is held against that, and against the text of the book.
"""

from dataclasses import dataclass

import autograd.numpy as np
from autograd.numpy.linalg import det, inv, norm, slogdet


@dataclass(frozen=True)
class Identity:
    number: str
    formula: str
    wrt: str
    expected: str
    by_hand: object  # (values by name) -> the function
    sizes: tuple = ()


def entry(number, formula, wrt, expected, by_hand, *sizes):
    return Identity(number, formula, wrt, expected, by_hand, sizes)


def squared(a):
    return np.sum(a * a)


A_SQUARE = "A: n x n"
SQUARE = "X: n x n"
TALL = "X: n x d"
S = "S: n x n symmetric"
ALL_SQUARE = (SQUARE, A_SQUARE, "B: n x n")

IDENTITIES = [
    entry("49", "det(X)", "X", "det(X) X^-T", lambda v: det(v["X"])),
    entry("51", "det(A X B)", "X", "det(A X B) X^-T", lambda v: det(v["A"] @ v["X"] @ v["B"]), *ALL_SQUARE),
    entry("52", "det(X'A X)", "X", "2 det(X' A X) X^-T", lambda v: det(v["X"].T @ v["A"] @ v["X"]), SQUARE),
    entry(
        "53", "det(X'S X)", "X", "2 det(X' S X) S X (X' S X)^-1", lambda v: det(v["X"].T @ v["S"] @ v["X"]), TALL, S
    ),
    entry(
        "54", "det(X'A X)", "X", "det(X' A X) (A' X (X' A X)^-T + A X (X' A X)^-1)",
        lambda v: det(v["X"].T @ v["A"] @ v["X"]), TALL,
    ),
    entry("55", "log(det(X'X))", "X", "2 X (X' X)^-1", lambda v: np.log(det(v["X"].T @ v["X"])), TALL),
    entry("57", "logdet(X)", "X", "X^-T", lambda v: slogdet(v["X"])[1]),
    entry("58", "det(X^3)", "X", "3 det(X X X) X^-T", lambda v: det(v["X"] @ v["X"] @ v["X"])),
    entry("61", "a'X^-1 b", "X", "-X^-T a b' X^-T", lambda v: np.sum(v["a"].T @ inv(v["X"]) @ v["b"])),
    entry("62", "det(X^-1)", "X", "-det(X^-1) X^-T", lambda v: det(inv(v["X"]))),
    entry("63", "tr(A X^-1 B)", "X", "-X^-T A' B' X^-T", lambda v: np.trace(v["A"] @ inv(v["X"]) @ v["B"])),
    entry("64", "tr((X + A)^-1)", "X", "-(X + A)^-T (X + A)^-T", lambda v: np.trace(inv(v["X"] + v["A"])), SQUARE),
    entry("69", "x'a", "x", "a", lambda v: np.sum(v["x"] * v["a"])),
    entry("69b", "a'x", "x", "a", lambda v: np.sum(v["x"] * v["a"])),
    entry("70", "a'X b", "X", "a b'", lambda v: np.sum(v["a"].T @ v["X"] @ v["b"])),
    entry("71", "a'X'b", "X", "b a'", lambda v: np.sum(v["a"].T @ v["X"].T @ v["b"])),
    entry("72", "a'X a", "X", "a a'", lambda v: np.sum(v["a"].T @ v["X"] @ v["a"])),
    entry("72b", "a'X'a", "X", "a a'", lambda v: np.sum(v["a"].T @ v["X"] @ v["a"])),
    entry(
        "76", "b'X'X c", "X", "X (b c' + c b')", lambda v: np.sum(v["b"].T @ v["X"].T @ v["X"] @ v["c"]), TALL
    ),
    entry(
        "77", "(B x + b)'C (D x + e)", "x", "D' C' (B x + b) + B' C (D x + e)",
        lambda v: np.sum((v["B"] @ v["x"] + v["b"]).T @ v["C"] @ (v["D"] @ v["x"] + v["e"])), "D: m x n",
    ),
    entry(
        "79", "b'X'D X c", "X", "D' X b c' + D X c b'",
        lambda v: np.sum(v["b"].T @ v["X"].T @ v["D"] @ v["X"] @ v["c"]), TALL,
    ),
    entry(
        "80", "(X b + c)'D (X b + c)", "X", "(D + D') (X b + c) b'",
        lambda v: np.sum((v["X"] @ v["b"] + v["c"]).T @ v["D"] @ (v["X"] @ v["b"] + v["c"])), TALL,
    ),
    entry("81", "x'B x", "x", "(B + B') x", lambda v: np.sum(v["x"].T @ v["B"] @ v["x"])),
    entry("81s", "x'S x", "x", "2 S x", lambda v: np.sum(v["x"].T @ v["S"] @ v["x"]), S),
    entry(
        "84", "(x - A s)'S (x - A s)", "s", "-2 A' S (x - A s)",
        lambda v: np.sum((v["x"] - v["A"] @ v["s"]).T @ v["S"] @ (v["x"] - v["A"] @ v["s"])), S, "A: n x d",
    ),
    entry(
        "85", "(x - s)'S (x - s)", "x", "2 S (x - s)",
        lambda v: np.sum((v["x"] - v["s"]).T @ v["S"] @ (v["x"] - v["s"])), S,
    ),
    entry(
        "86", "(x - s)'S (x - s)", "s", "-2 S (x - s)",
        lambda v: np.sum((v["x"] - v["s"]).T @ v["S"] @ (v["x"] - v["s"])), S,
    ),
    entry(
        "88", "(x - A s)'S (x - A s)", "A", "-2 S (x - A s) s'",
        lambda v: np.sum((v["x"] - v["A"] @ v["s"]).T @ v["S"] @ (v["x"] - v["A"] @ v["s"])), S, "A: n x d",
    ),
    entry("97", "x'A x + b'x", "x", "(A + A') x + b", lambda v: np.sum(v["x"].T @ v["A"] @ v["x"] + v["b"].T @ v["x"])),
    entry("99", "tr(X)", "X", "I", lambda v: np.trace(v["X"])),
    entry("100", "tr(X A)", "X", "A'", lambda v: np.trace(v["X"] @ v["A"]), TALL),
    entry("101", "tr(A X B)", "X", "A' B'", lambda v: np.trace(v["A"] @ v["X"] @ v["B"]), TALL),
    entry("102", "tr(A X'B)", "X", "B A", lambda v: np.trace(v["A"] @ v["X"].T @ v["B"]), TALL),
    entry("103", "tr(X'A)", "X", "A", lambda v: np.trace(v["X"].T @ v["A"]), TALL),
    entry("104", "tr(A X')", "X", "A", lambda v: np.trace(v["A"] @ v["X"].T), TALL),
    entry("105", "tr(A ⊗ X)", "X", "tr(A) I", lambda v: np.trace(np.kron(v["A"], v["X"]))),
    entry("106", "tr(X^2)", "X", "2 X'", lambda v: np.trace(v["X"] @ v["X"])),
    entry("107", "tr(X^2 B)", "X", "B' X' + X' B'", lambda v: np.trace(v["X"] @ v["X"] @ v["B"]), SQUARE),
    entry("108", "tr(X'B X)", "X", "(B + B') X", lambda v: np.trace(v["X"].T @ v["B"] @ v["X"]), TALL),
    entry("109", "tr(B X X')", "X", "(B + B') X", lambda v: np.trace(v["B"] @ v["X"] @ v["X"].T), TALL),
    entry("111", "tr(X B X')", "X", "X (B + B')", lambda v: np.trace(v["X"] @ v["B"] @ v["X"].T), TALL),
    entry(
        "114", "tr(A X B X)", "X", "B' X' A' + A' X' B'", lambda v: np.trace(v["A"] @ v["X"] @ v["B"] @ v["X"]), TALL
    ),
    entry("115", "tr(X'X)", "X", "2 X", lambda v: squared(v["X"]), TALL),
    entry("116", "tr(B'X'X B)", "X", "2 X B B'", lambda v: squared(v["X"] @ v["B"]), TALL),
    entry("117", "tr(X'B X C)", "X", "B' X C' + B X C", lambda v: np.trace(v["X"].T @ v["B"] @ v["X"] @ v["C"]), TALL),
    entry(
        "118", "tr(A X B X'C)", "X", "C A X B + A' C' X B'",
        lambda v: np.trace(v["A"] @ v["X"] @ v["B"] @ v["X"].T @ v["C"]), TALL,
    ),
    entry(
        "119", "tr((A X B + C)(A X B + C)')", "X", "2 A' (A X B + C) B'",
        lambda v: squared(v["A"] @ v["X"] @ v["B"] + v["C"]), TALL,
    ),
    entry("121", "tr(X^4)", "X", "4 X' X' X'", lambda v: np.trace(v["X"] @ v["X"] @ v["X"] @ v["X"])),
    entry(
        "125", "tr((X'S X)^-1 A)", "X", "-S X (X' S X)^-1 (A + A') (X' S X)^-1",
        lambda v: np.trace(inv(v["X"].T @ v["S"] @ v["X"]) @ v["A"]), TALL, S,
    ),
    entry("129", "||x - a||", "x", "(x - a)/‖x - a‖", lambda v: norm(v["x"] - v["a"])),
    entry("131", "||x||^2", "x", "2 x", lambda v: squared(v["x"])),
    entry("132", "||X||_F^2", "X", "2 X", lambda v: squared(v["X"]), TALL),
    entry("M1", "||X w - y||^2", "w", "2 X' (X w - y)", lambda v: squared(v["X"] @ v["w"] - v["y"])),
    entry("M2", "sum(A .* X)", "X", "A", lambda v: np.sum(v["A"] * v["X"])),
    entry("M3", "vec(X)'K vec(X)", "X", "unvec((K + K') vec(X))", lambda v: _vec(v["X"]).T @ v["K"] @ _vec(v["X"])),
    entry("M4", "sum(diag(X) .* a)", "X", "Diag(a)", lambda v: np.sum(np.diag(v["X"]) * v["a"][:, 0]), SQUARE),
    entry("M5", "tr(diag(x) A)", "x", "diag(A)", lambda v: np.sum(v["x"][:, 0] * np.diag(v["A"])), A_SQUARE),
    entry("M6", "x'A x / x'x", "x", "((A + A') x - 2 (x' A x) x/(x' x))/(x' x)", lambda v: _rayleigh(v["A"], v["x"])),
    entry("M7", "a'exp(X b)", "X", "(a ∘ exp(X b)) b'", lambda v: np.sum(v["a"] * np.exp(v["X"] @ v["b"]))),
    entry("M8", "tr((X X')^2)", "X", "4 X X' X", lambda v: squared(v["X"] @ v["X"].T), TALL),
]  # fmt: skip


def _vec(X):
    return np.reshape(X.T, -1)


def _rayleigh(A, x):
    return np.sum(x.T @ A @ x) / np.sum(x * x)
