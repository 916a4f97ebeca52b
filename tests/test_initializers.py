"""Initial weights: moments and bounds against the papers' formulas, and reproducible draws."""

import pickle
from math import inf, nan, sqrt

import numpy as np
import pytest

from chainrule.errors import ShapeError, UnknownNameError
from chainrule.initializers import (
    INITIALIZERS,
    Initializer,
    find_initializer,
    register_initializer,
)

# Far from square, so that a fan_in in the place of a fan_out is seen.
FAN_IN, FAN_OUT = 400, 100

# The standard deviations, written independently of the code, with the sizes as numbers.
DEVIATION = {
    "glorot_uniform": sqrt(2 / 500),
    "glorot_normal": sqrt(2 / 500),
    "he_uniform": sqrt(2 / 400),
    "he_normal": sqrt(2 / 400),
    "lecun_uniform": sqrt(1 / 400),
    "lecun_normal": sqrt(1 / 400),
    "normal": 0.05,
    "uniform": 0.05 / sqrt(3),
}
UNIFORM = sorted(name for name in DEVIATION if "uniform" in name)
NORMAL = sorted(DEVIATION.keys() - set(UNIFORM))


def draw(name: str, shape=(FAN_IN, FAN_OUT), parameters=None, seed=0):
    initializer = INITIALIZERS[name]
    if parameters is None:
        parameters = tuple(default for _, default in initializer.parameters)
    return initializer.draw(np.random.default_rng(seed), shape, parameters)


def assert_moments(weights: np.ndarray, deviation: float) -> None:
    """Mean 0 and the given standard deviation, within five of their own standard errors.

    The standard error of a standard deviation is at most deviation / sqrt(2 n) for both families.
    """
    n = weights.size
    assert abs(weights.mean()) < 5 * deviation / sqrt(n)
    assert abs(weights.std() - deviation) < 5 * deviation / sqrt(2 * n)


def test_every_initializer_is_tested():
    assert INITIALIZERS.keys() == DEVIATION.keys() | {"zeros", "constant"}
    assert all(name == initializer.name for name, initializer in INITIALIZERS.items())


@pytest.mark.parametrize("name", sorted(DEVIATION))
def test_moments_are_those_of_the_formula(name):
    assert_moments(draw(name), DEVIATION[name])


@pytest.mark.parametrize("name", sorted(DEVIATION))
def test_the_check_of_moments_fails_on_another_fan(name):
    weights = draw(name, shape=(FAN_IN + 30, FAN_OUT))
    if INITIALIZERS[name].parameters:
        weights = weights * 1.03

    with pytest.raises(AssertionError):
        assert_moments(weights, DEVIATION[name])


@pytest.mark.parametrize("name", ["he_normal", "he_uniform", "lecun_normal", "lecun_uniform"])
def test_the_check_of_moments_fails_when_the_fans_are_exchanged(name):
    with pytest.raises(AssertionError):
        assert_moments(draw(name, shape=(FAN_OUT, FAN_IN)), DEVIATION[name])


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_weights_fill_their_interval_and_stay_inside(name):
    limit = sqrt(3) * DEVIATION[name]

    weights = draw(name)

    assert np.abs(weights).max() <= limit
    # The largest of n draws misses the limit by 2 limit / n on average, by 20 times that with
    # probability e^-20.
    assert weights.max() > limit * (1 - 40 / weights.size)
    assert weights.min() < -limit * (1 - 40 / weights.size)


@pytest.mark.parametrize("name", NORMAL)
def test_normal_weights_have_normal_tails(name):
    weights = draw(name) / DEVIATION[name]

    beyond_two, beyond_three = (np.mean(np.abs(weights) > bound) for bound in (2, 3))

    # P(|z| > 2) = 0.0455 and P(|z| > 3) = 0.0027; five standard errors for 40000 draws.
    assert abs(beyond_two - 0.0455) < 5 * sqrt(0.0455 / weights.size)
    assert abs(beyond_three - 0.0027) < 5 * sqrt(0.0027 / weights.size)


@pytest.mark.parametrize("name", sorted(INITIALIZERS))
def test_a_draw_has_the_shape_and_the_type_and_follows_the_seed(name):
    weights = draw(name, shape=(3, 5), seed=7)

    assert weights.shape == (3, 5)
    assert weights.dtype == np.float64
    assert np.array_equal(weights, draw(name, shape=(3, 5), seed=7))
    assert np.array_equal(weights, draw(name, shape=(3, 5), seed=8)) == (name not in DEVIATION)


@pytest.mark.parametrize("name", sorted(INITIALIZERS))
def test_successive_draws_of_one_generator_differ(name):
    rng = np.random.default_rng(0)
    defaults = tuple(default for _, default in INITIALIZERS[name].parameters)

    first, second = (INITIALIZERS[name].draw(rng, (3, 5), defaults) for _ in range(2))

    assert np.array_equal(first, second) == (name not in DEVIATION)


def test_parameters_set_the_spread_and_the_value():
    assert_moments(draw("normal", parameters=(3.0,)), 3.0)
    assert_moments(draw("uniform", parameters=(3.0,)), sqrt(3))
    assert np.all(draw("constant", parameters=(-2.0,)) == -2.0)
    assert np.all(draw("zeros") == 0)
    assert np.all(draw("normal", parameters=(0.0,)) == 0)


@pytest.mark.parametrize("value", [-1.0, nan, inf])
@pytest.mark.parametrize("name", ["normal", "uniform"])
def test_a_spread_is_finite_and_not_negative(name, value):
    with pytest.raises(ValueError, match="of an initializer must be finite and not negative, got"):
        draw(name, parameters=(value,))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (-1, 3)])
@pytest.mark.parametrize("name", sorted(INITIALIZERS))
def test_weights_without_entries_are_refused(name, shape):
    with pytest.raises(ShapeError, match=r"cannot draw weights of shape .* a size is below 1"):
        draw(name, shape=shape)


def test_a_duplicate_name_is_an_error():
    with pytest.raises(ValueError, match="there is already an initializer named 'he_normal'"):
        register_initializer(Initializer("he_normal", (), INITIALIZERS["zeros"].draw))


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UnknownNameError, match="'he_nrmal'; did you mean 'he_normal'"):
        find_initializer("he_nrmal")


@pytest.mark.parametrize("name", sorted(INITIALIZERS))
def test_an_initializer_can_be_sent_to_another_process(name):
    assert pickle.loads(pickle.dumps(INITIALIZERS[name])) == INITIALIZERS[name]


@pytest.mark.parametrize("name", sorted(INITIALIZERS))
def test_every_initializer_states_its_formula(name):
    assert INITIALIZERS[name].draw.__doc__.startswith("W ")
