"""Batch normalization as an arbitrary expression: one derivative by three routes, and by four implementations."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.expr import size
from chainrule.matrix_functions import diag, eye, frobenius, kron, unvec, vec
from chainrule.primitives import reciprocal, sqrt

EPS = 1e-5
X, G = cr.matrix("X", "N", "D"), cr.matrix("G", "N", "D")
GAMMA, BETA = cr.matrix("gamma", 1, "D"), cr.matrix("beta", 1, "D")
ONE, N = cr.ones("N"), size("N")
# A published example, and its derivatives.
EXAMPLE = {
    "X": [[1, 2], [3, 5], [4, -1], [8, 0]],
    "gamma": [[1.5, -0.5]],
    "beta": [[0.1, 0.2]],
    "G": [[0.1, -0.2], [0.3, 0.4], [-0.5, 0.6], [0.7, -0.8]],
}
DGAMMA = [[0.8629103308, 0.4364353648]]
DX = [
    [0.1199322375, 0.0488391857],
    [0.1380354047, -0.0509175285],
    [-0.3824261693, -0.1569088555],
    [0.1244585272, 0.1589871983],
]


def normalized(name=lambda name, node: node, of=X):
    """Xhat, (var + eps)^(-1/2) and Y = gamma o Xhat + beta, over the rows; `name` may give the parts names."""
    mu = name("mu", ONE.T @ of / N)
    C = name("C", of - ONE @ mu)
    s = name("s", reciprocal(sqrt(ONE.T @ (C * C) / N + EPS)))
    Xhat = name("Xhat", C * (ONE @ s))
    return Xhat, s, name("Y", (ONE @ GAMMA) * Xhat + ONE @ BETA)


def drawn(rows=7, columns=3, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"X": (rows, columns), "gamma": (1, columns), "beta": (1, columns), "G": (rows, columns)}
    return {name: rng.normal(1, 2, shape) for name, shape in shapes.items()}


def arrays(values):
    return {name: np.asarray(a, float) for name, a in values.items()}


# ---- the routes


def by_graph(values):
    """The chain rule on the graph of the expression."""
    loss = frobenius(G, normalized()[2])
    return [cr.evaluate(d, values) for d in cr.gradient(loss, X, GAMMA, BETA)]


def by_closed_form(values):
    """dX = (1/N) gamma (var + eps)^(-1/2) o [N dY - 1 dbeta - Xhat o dgamma], as an expression."""
    Xhat, s, _ = normalized()
    dgamma, dbeta = ONE.T @ (G * Xhat), ONE.T @ G
    dX = (ONE @ (GAMMA * s)) * (G - (ONE @ dbeta + Xhat * (ONE @ dgamma)) / N)
    return [cr.evaluate(d, values) for d in (dX, dgamma, dbeta)]


def by_column(values):
    """[I - 11'/N - x x'/N] dY column by column, x a column of Xhat."""
    x, g, a = cr.matrix("x", "N", 1), cr.matrix("g", "N", 1), cr.scalar("a")
    along = cr.scale((eye("N") - (ONE @ ONE.T + x @ x.T) / N) @ g, 1, (a, 1))
    Xhat, s, _ = (cr.evaluate(e, values) for e in normalized())
    columns = [
        cr.evaluate(along, {"x": Xhat[:, [j]], "g": values["G"][:, [j]], "a": values["gamma"][0, j] * s[0, j]})
        for j in range(Xhat.shape[1])
    ]
    return [np.hstack(columns), (values["G"] * Xhat).sum(0, keepdims=True), values["G"].sum(0, keepdims=True)]


def by_vec(values):
    """vec(dX) = J' vec(dY), where J is made of Kronecker products of the derivatives of mean, product and scale.

    With x = vec(Xhat), K = I - 11'/N and B = I_D (x) 11': the columns do not mix, so that
    J = Diag(vec(1 (gamma o s))) (I_D (x) K - Diag(x) B Diag(x)/N).
    """
    Xhat, s, _ = normalized()
    centring = eye("N") - ONE @ ONE.T / N
    x = diag(vec(Xhat))
    J = diag(vec(ONE @ (GAMMA * s))) @ (kron(eye("D"), centring) - x @ kron(eye("D"), ONE @ ONE.T) @ x / N)
    over_rows = kron(eye("D"), ONE.T)
    dX = unvec(J.T @ vec(G), X)
    return [cr.evaluate(d, values) for d in (dX, (over_rows @ x @ vec(G)).T, (over_rows @ vec(G)).T)]


def step_by_step(values):
    """One entry, one operation after the other, in plain loops, without any matrix formula."""
    rows, columns = values["X"].shape
    dX, dgamma, dbeta = np.zeros((rows, columns)), np.zeros((1, columns)), np.zeros((1, columns))
    for j in range(columns):
        x, g = values["X"][:, j], values["G"][:, j]
        mean = sum(x) / rows
        centred = [xi - mean for xi in x]
        variance = sum(c * c for c in centred) / rows
        root = (variance + EPS) ** 0.5
        inverse = 1 / root
        dinverse, dcentred = 0.0, [0.0] * rows
        for i in range(rows):
            dbeta[0, j] += g[i]
            dgamma[0, j] += g[i] * centred[i] * inverse
            dhat = g[i] * values["gamma"][0, j]
            dinverse += dhat * centred[i]
            dcentred[i] += dhat * inverse
        droot = -dinverse / root**2
        dvariance = droot / (2 * root)
        for i in range(rows):
            dcentred[i] += dvariance * 2 * centred[i] / rows
        dmean = -sum(dcentred)
        for i in range(rows):
            dX[i, j] = dcentred[i] + dmean / rows
    return [dX, dgamma, dbeta]


ROUTES = [by_graph, by_closed_form, by_column, by_vec, step_by_step]


@pytest.mark.row(65, 66)
@pytest.mark.parametrize("route", ROUTES)
def test_the_published_derivative_comes_out_by_every_route(route):
    dX, dgamma, dbeta = route(arrays(EXAMPLE))

    np.testing.assert_allclose(dX, DX, atol=1e-10, rtol=0)  # ten decimals are printed
    np.testing.assert_allclose(dgamma, DGAMMA, atol=1e-10, rtol=0)
    np.testing.assert_allclose(dbeta, [[0.6, 0]], atol=1e-15)  # sums of 4 numbers below 1


@pytest.mark.row(65, 66)
@pytest.mark.parametrize(("rows", "columns"), [(2, 1), (7, 3), (3, 6), (40, 2)])
@pytest.mark.parametrize("route", ROUTES[:-1])
def test_the_routes_agree_on_random_matrices(route, rows, columns):
    values = drawn(rows, columns, seed=rows)

    for found, expected in zip(route(values), step_by_step(values), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


@pytest.mark.row(66)
def test_a_wrong_implementation_does_not_agree():
    values = drawn()
    Xhat = cr.evaluate(normalized()[0], values)
    scale = cr.evaluate(GAMMA * normalized()[1], values)

    without_the_variance = scale * (values["G"] - values["G"].mean(0))

    assert np.abs(without_the_variance - by_graph(values)[0]).max() > 0.01
    right = without_the_variance - scale * Xhat * (values["G"] * Xhat).mean(0)
    np.testing.assert_allclose(right, by_graph(values)[0], rtol=1e-9, atol=1e-12)


@pytest.mark.row(65)
def test_the_derivation_names_its_parts_and_is_replayed():
    d = cr.differentiate(frobenius(G, normalized(cr.define)[2]), X, GAMMA, BETA)

    assert [cr.text(d[name].node) for name in ("dbeta", "dgamma", "dXhat", "dC", "dX")] == [
        "dbeta = 1' dY",
        "dgamma = 1' (dY ∘ Xhat)",
        "dXhat = dY ∘ (1 gamma)",
        "dC = dXhat ∘ (1 s) - ((1 ((1' (dXhat ∘ C)) ∘ s ∘ s ∘ s)) ∘ C)/N",
        "dX = dC - (1 (1' dC))/N",
    ]
    assert d.verify().ok
    assert d.check().ok
    np.testing.assert_allclose(d.at(arrays(EXAMPLE))["dX"], DX, atol=1e-10, rtol=0)


@pytest.mark.row(65)
def test_the_derivative_leaves_the_mean_and_the_scale_alone():
    values = drawn()
    dX, *_ = by_graph(values)
    Xhat = cr.evaluate(normalized()[0], values)

    np.testing.assert_allclose(dX.sum(0), 0, atol=1e-14)  # of sums of 7 numbers near 1
    np.testing.assert_allclose((Xhat * dX).sum(0), 0, atol=20 * EPS)  # var + eps is not var


@pytest.mark.row(65)
def test_a_bias_before_the_normalization_has_derivative_zero():
    b, W, A = cr.matrix("b", 1, "D"), cr.matrix("W", "K", "D"), cr.matrix("A", "N", "K")
    (db,) = cr.gradient(frobenius(G, normalized(of=A @ W + ONE @ b)[2]), b)
    rng = np.random.default_rng(3)
    values = {**drawn(), "A": rng.normal(size=(7, 4)), "W": rng.normal(size=(4, 3)), "b": rng.normal(size=(1, 3))}

    np.testing.assert_allclose(cr.evaluate(db, values), 0, atol=1e-13)  # of sums of 7 numbers near 1


@pytest.mark.row(65)
def test_frozen_statistics_leave_a_scale_for_each_column():
    mu, v = cr.matrix("mu", 1, "D"), cr.matrix("v", 1, "D")
    Xhat = (X - ONE @ mu) * (ONE @ reciprocal(sqrt(v + EPS)))
    dX, dgamma = cr.gradient(frobenius(G, (ONE @ GAMMA) * Xhat + ONE @ BETA), X, GAMMA)
    values = {**drawn(), "mu": np.array([[1.0, -2, 0]]), "v": np.array([[4.0, 0.25, 9]])}

    at = {e: cr.evaluate(e, values) for e in (dX, dgamma)}

    deviation = np.sqrt(values["v"] + EPS)
    np.testing.assert_allclose(at[dX], values["G"] * values["gamma"] / deviation, rtol=1e-14)
    hat = (values["X"] - values["mu"]) / deviation
    np.testing.assert_allclose(at[dgamma], (values["G"] * hat).sum(0, keepdims=True), rtol=1e-13)
    assert np.abs(at[dX] - by_graph(values)[0]).max() > 0.01, "statistics that move with X give another derivative"
