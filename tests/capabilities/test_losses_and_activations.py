"""Costs, activations, conventions and worked numbers, as courses and articles state them."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ShapeError

RNG = np.random.default_rng(3)


@pytest.mark.row(29, 60)
def test_the_mean_enters_once_and_a_half_is_a_half():
    params = cr.Network("3 -> 2").init(0)
    X, Y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))

    def derivatives(loss, **options):
        return cr.Network("3 -> 2", loss=loss, **options).gradient(params, X, Y)

    half, whole = derivatives("half_squared_error"), derivatives("squared_error")
    total = derivatives("half_squared_error", reduction="sum")
    for name in params:
        np.testing.assert_allclose(whole[name], 2 * half[name], rtol=1e-13)
        np.testing.assert_allclose(total[name], 5 * half[name], rtol=1e-13)
    text = cr.Network("3 -> 4 tanh -> 2").derive().view("equations")
    assert text.partition("backward")[2].count("/n") == 1


@pytest.mark.row(19)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_batch_s_gradient_is_that_of_its_examples_summed_or_averaged(reduction):
    net = cr.Network("3 -> 4 tanh -> 2 softmax", reduction=reduction)
    params, X, Y = net.init(0), RNG.normal(size=(6, 3)), np.eye(2)[RNG.integers(2, size=6)]

    each = [net.gradient(params, X[i : i + 1], Y[i : i + 1]) for i in range(6)]

    for name, value in net.gradient(params, X, Y).items():
        total = sum(g[name] for g in each)
        np.testing.assert_allclose(value, total / 6 if reduction == "mean" else total, rtol=1e-11, atol=1e-15)


@pytest.mark.row(99, 104)
def test_examples_minibatches_and_the_batch_are_one_program_in_matrix_form():
    net = cr.Network("3 -> 4 tanh -> 2 softmax")
    X, y = RNG.normal(size=(6, 3)), np.array([0, 1, 1, 0, 1, 0])
    common = {"solver": "sgd", "momentum": 0, "shuffle": False, "tol": 0, "random_state": 0}

    def trained(rows, rate=0.1, epochs=3):
        return net.fit(X, y, batch_size=rows, max_iter=epochs, learning_rate_init=rate, **common).params_

    whole, single = trained(6, rate=1e-300, epochs=1), trained(6, rate=1e-300, epochs=1)  # where training starts
    for _ in range(3):
        whole = {k: whole[k] - 0.1 * g for k, g in net.gradient(whole, X, y).items()}
        for i in range(6):
            single = {k: single[k] - 0.1 * g for k, g in net.gradient(single, X[i : i + 1], y[i : i + 1]).items()}
    for name in whole:
        np.testing.assert_allclose(trained(6)[name], whole[name], rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(trained(1)[name], single[name], rtol=1e-10, atol=1e-15)


@pytest.mark.row(30)
def test_zero_weights_cost_ln_2_and_stay_alike():
    net = cr.Network("2 -> 3 tanh -> 1 logistic")
    X, Y = RNG.normal(size=(8, 2)), np.array([0, 1, 0, 1, 1, 0, 1, 0.0])[:, None]
    zero = {k: np.zeros_like(v) for k, v in net.init(0).items()}
    alike = {k: np.full_like(v, 0.3) for k, v in zero.items()}

    assert net.loss(zero, X, Y) == pytest.approx(math.log(2))
    for start in (zero, alike):
        p = start
        for _ in range(20):
            p = {k: p[k] - 0.5 * g for k, g in net.gradient(p, X, Y).items()}
        assert np.ptp(p["W1"], axis=1) == pytest.approx(0)  # every unit has the same weights
    assert np.ptp(net.init(0)["W1"], axis=1).min() > 0.01


@pytest.mark.row(31, 32, 33, 35)
def test_a_published_backward_step_in_columns():
    """The planar data exercise of a course on deep learning: one hidden tanh layer, one logistic output, m = 3."""
    given = {
        "X": [[1.62434536, -0.61175641, -0.52817175], [-1.07296862, 0.86540763, -2.3015387]],
        "W1": [[-0.00416758, -0.00056267], [-0.02136196, 0.01640271], [-0.01793436, -0.00841747],
               [0.00502881, -0.01245288]],
        "W2": [[-0.01057952, -0.00909008, 0.00551454, 0.02292208]],
        "A1": [[-0.00616578, 0.0020626, 0.00349619], [-0.05225116, 0.02725659, -0.02646251],
               [-0.02009721, 0.0036869, 0.02883756], [0.02152675, -0.01385234, 0.02599885]],
        "A2": [[0.5002307, 0.49985831, 0.50023963]],
    }  # fmt: skip
    d = cr.Network("2 -> 4 tanh -> 1 logistic").derive("columns")
    now = {"np": np, "n": 3, "Y": np.array([[1, 0, 1]]), **{k: np.array(v) for k, v in given.items()}}

    for line in d.source("numpy", part="backward").splitlines():
        exec(line, now)

    published = {
        "dW1": [[0.0030102304, -0.0074726659], [0.0025796782, -0.0064128846], [-0.001568919, 0.003893002],
                [-0.0065203669, 0.0161824294]],
        "db1": [[0.0017620133], [0.001509948], [-0.0009173634], [-0.0038142179]],
        "dW2": [[0.000788406, 0.0176542908, -0.0008416578, -0.0102252703]],
        "db2": [[-0.16655712]],
    }  # fmt: skip
    for name, value in published.items():
        np.testing.assert_allclose(now[name], value, atol=3e-9)
        assert now[name].shape == np.shape(value)
    assert str(d["dZ2"]) == "dZ2 = (A2 - Y)/n"
    assert [str(d[name]) for name in ("Z1", "A1", "Z2", "A2")] == [
        "Z1 = W1 X + b1 1'", "A1 = tanh(Z1)", "Z2 = W2 A1 + b2 1'", "A2 = logistic(Z2)",
    ]  # fmt: skip


@pytest.mark.row(33, 69)
@pytest.mark.parametrize("layer", [1, 2])
def test_a_slope_too_many_or_too_few_is_found(layer):
    net = cr.Network("3 -> 4 tanh -> 1 logistic")
    params = {k: RNG.normal(size=v.shape) for k, v in net.init(0).items()}
    X, Y = RNG.normal(size=(6, 3)), RNG.integers(0, 2, (6, 1)).astype(float)

    def gradient(p):
        f = net.forward(p, X)
        dZ2 = (f["A2"] - Y) / len(X)
        dZ2 = dZ2 * f["A2"] * (1 - f["A2"]) if layer == 2 else dZ2  # the slope twice
        dZ1 = dZ2 @ p["W2"].T
        dZ1 = dZ1 if layer == 1 else dZ1 * (1 - f["A1"] ** 2)  # the slope left out
        return {
            "W1": X.T @ dZ1,
            "b1": dZ1.sum(0, keepdims=True),
            "W2": f["A1"].T @ dZ2,
            "b2": dZ2.sum(0, keepdims=True),
        }

    report = cr.check_gradient(lambda p: net.loss(p, X, Y), gradient, params)

    wrong = {name for name in params if report.blocks[name].verdict != "ok"}
    assert wrong == ({"W1", "b1"} if layer == 1 else {"W1", "b1", "W2", "b2"})


@pytest.mark.row(34, 36)
def test_orientation_and_vectors_are_refused_before_they_broadcast():
    net = cr.Network("3 -> 4 tanh -> 2 logistic")
    params, X = net.init(0), np.ones((5, 3))

    with pytest.raises(ShapeError, match=r"Y of shape \(5 x 2\), got \(2 x 5\)"):
        net.loss(params, X, np.zeros((2, 5)))
    with pytest.raises(ShapeError, match=r"X of shape \(n x 3\), got \(3,\); X\[None, :\] is one row"):
        net.loss(params, np.ones(3), np.zeros((1, 2)))
    with pytest.raises(ShapeError, match=r"b1 is \(4,\), not \(1 x 4\) \(b1\[None, :\] is a row\)"):
        net.loss({**params, "b1": np.zeros(4)}, X, np.zeros((5, 2)))
    Z, b = cr.matrix("Z", "n", 4), cr.matrix("b", 1, 4)
    with pytest.raises(ShapeError, match=r"ones\(n\) @ b makes a row b fit every row"):
        Z + b


@pytest.mark.row(35, 37)
def test_the_bias_gradient_keeps_its_dimension_as_a_reshape_would():
    rows, columns = (cr.Network("3 -> 4 tanh -> 1 logistic").derive(layout) for layout in ("rows", "columns"))
    dZ = RNG.normal(size=(4, 5))

    assert "db1 = dZ1.sum(axis=0, keepdims=True)" in rows.source("numpy", part="backward")
    assert "db1 = dZ1.sum(axis=1, keepdims=True)" in columns.source("numpy", part="backward")
    np.testing.assert_array_equal(dZ.sum(axis=1, keepdims=True), dZ.sum(axis=1).reshape(4, 1))


@pytest.mark.row(52)
def test_a_network_without_activations_is_one_matrix():
    net = cr.Network("3 -> 5 -> 4 -> 2")
    p, X = net.init(0), RNG.normal(size=(6, 3))
    p = {k: RNG.normal(size=v.shape) for k, v in p.items()}

    W = p["W1"] @ p["W2"] @ p["W3"]
    b = (p["b1"] @ p["W2"] + p["b2"]) @ p["W3"] + p["b3"]

    np.testing.assert_allclose(net.predict(p, X), X @ W + b, rtol=1e-10)


@pytest.mark.row(74)
def test_the_slope_of_the_logistic_is_s_times_one_minus_s_at_any_score():
    z = cr.matrix("z", 1, "k")
    (dz,) = cr.gradient(cr.sum(cr.logistic(z)), z)
    at = np.array([[-800.0, -30, -1, 0, 1e-3, 2, 30, 800]])
    s = cr.evaluate(cr.logistic(z), {"z": at})

    assert cr.text(dz) == "logistic(z) ∘ (1 - logistic(z))"
    np.testing.assert_allclose(cr.evaluate(dz, {"z": at}), s * (1 - s), rtol=1e-12)
    np.testing.assert_allclose(s[0, 1] * (1 - s[0, 1]), math.exp(-30) / (1 + math.exp(-30)) ** 2, rtol=1e-9)


@pytest.mark.row(70, 91)
def test_a_diagonal_jacobian_is_a_product_entry_by_entry_and_that_of_softmax_is_not_diagonal():
    z, v = cr.matrix("z", 1, 4), cr.matrix("v", 1, 4)
    at, g = RNG.normal(size=(1, 4)), RNG.normal(size=(1, 4))

    def pulled(f):
        (dz,) = cr.gradient(cr.sum(f(z) * v), z)
        return cr.evaluate(dz, {"z": at, "v": g})

    t = np.tanh(at[0])
    p = np.exp(at[0]) / np.exp(at[0]).sum()
    np.testing.assert_allclose(pulled(cr.tanh)[0], np.diag(1 - t**2) @ g[0])
    jacobian = np.diag(p) - np.outer(p, p)
    np.testing.assert_allclose(pulled(cr.softmax)[0], jacobian @ g[0])
    assert abs(pulled(cr.softmax)[0] - p * (1 - p) * g[0]).max() > 0.01


@pytest.mark.row(47, 90)
def test_softmax_with_cross_entropy_is_p_minus_y_and_finite_at_any_score():
    net = cr.Network("2 -> 2 softmax")
    params = {"W1": np.eye(2) * 1000, "b1": np.zeros((1, 2))}
    X, Y = np.array([[1.0, -1], [0.5, 1]]), np.array([[0.0, 1], [0, 1]])

    assert str(net.derive()["dZ1"]) == "dZ1 = (P - Y)/n"
    assert net.loss(params, X, Y) == pytest.approx(1000)
    np.testing.assert_allclose(net.gradient(params, X, Y)["b1"], [[0.5, -0.5]])


@pytest.mark.row(103)
def test_a_derivative_is_the_adjoint_of_a_variation():
    """<dL/dY, dY> = <dL/dX, dX>, for random directions."""
    X, W, G = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("G", "n", "k")
    for f in (cr.tanh, cr.softmax, cr.silu, cr.softplus):
        Y = f(X @ W)
        (dX,) = cr.gradient(cr.sum(Y * G), X)
        x, w, g, move = (RNG.normal(size=s) for s in ((5, 3), (3, 4), (5, 4), (5, 3)))
        at = lambda t, Y=Y, x=x, w=w, move=move: cr.evaluate(Y, {"X": x + t * move, "W": w})
        left = (g * (at(1e-5) - at(-1e-5)) / 2e-5).sum()

        assert left == pytest.approx((cr.evaluate(dX, {"X": x, "W": w, "G": g}) * move).sum(), rel=1e-7)


@pytest.mark.row(83)
def test_a_published_3_2_2_example():
    """Inputs 1, 4, 5, one bias of 0.5 for each layer, targets 0.1 and 0.05; the gradient of w5 is printed as 0.0099."""
    net = cr.Network("3 -> 2 logistic -> 2 logistic", loss="half_squared_error")
    params = {
        "W1": [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], "b1": [[0.5, 0.5]],
        "W2": [[0.7, 0.8], [0.9, 0.1]], "b2": [[0.5, 0.5]],
    }  # fmt: skip
    worked = net.derive().with_numbers(params, [[1, 4, 5]], [[0.1, 0.05]])

    np.testing.assert_allclose(worked["Z1"], [[4.3, 5.3]], rtol=1e-12)
    np.testing.assert_allclose(worked["A1"], [[0.9866, 0.9950]], atol=5e-5)
    np.testing.assert_allclose(worked["A2"], [[0.8896, 0.8004]], atol=5e-5)
    assert f"{worked['dW1'][2, 0]:.4f}" == "0.0099"


@pytest.mark.row(84)
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_mazurs_example_to_twelve_digits(layout):
    net = cr.Network("2 -> 2 logistic -> 2 logistic", loss="half_squared_error")
    params = {
        "W1": np.array([[0.15, 0.25], [0.20, 0.30]]), "b1": np.full((1, 2), 0.35),
        "W2": np.array([[0.40, 0.50], [0.45, 0.55]]), "b2": np.full((1, 2), 0.60),
    }  # fmt: skip
    worked = net.derive(layout).with_numbers(params, [[0.05, 0.10]], [[0.01, 0.99]], lr=0.5)
    turn = (lambda a: a) if layout == "columns" else (lambda a: a.T)
    exact = {
        "A1": [[0.593269992107], [0.59688437826]], "A2": [[0.751365069552], [0.772928465321]],
        "loss": [[0.29837110876]], "dZ2": [[0.138498561629], [-0.038098236517]],
        "dZ1": [[0.008771354689], [0.009954254705]],
        "dW2": [[0.082167040564, 0.082667627848], [-0.022602540477, -0.022740242216]],
        "dW1": [[0.000438567734, 0.000877135469], [0.000497712735, 0.000995425471]],
        "W1_next": [[0.149780716133, 0.199561432266], [0.249751143632, 0.299502287265]],
        "W2_next": [[0.358916479718, 0.408666186076], [0.511301270239, 0.561370121108]],
    }  # fmt: skip

    for name, value in exact.items():
        np.testing.assert_allclose(turn(worked[name]), value, atol=6e-13)
    after = {"W1": params["W1"] - 0.5 * net.gradient(params, [[0.05, 0.10]], [[0.01, 0.99]])["W1"]}
    after["W2"] = params["W2"] - 0.5 * net.gradient(params, [[0.05, 0.10]], [[0.01, 0.99]])["W2"]
    assert net.loss({**params, **after}, [[0.05, 0.10]], [[0.01, 0.99]]) == pytest.approx(0.291027773694, abs=6e-13)


@pytest.mark.row(85)
def test_after_training_on_one_example_the_prediction_is_its_class():
    net = cr.Network("2 -> 3 tanh -> 2 softmax")
    X = np.array([[0.3, -0.6]])
    p = net.init(0)
    target = 1 - int(np.argmax(net.predict(p, X)))

    for _ in range(50):
        p = {k: p[k] - 0.5 * g for k, g in net.gradient(p, X, [target]).items()}

    assert int(np.argmax(net.predict(p, X))) == target
