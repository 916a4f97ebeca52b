"""Who runs the equations, and the threads of BLAS around the NumPy program."""

from threading import Barrier, Event, Thread

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from chainrule.train.engines import SHARED_WORK, blas_threads


def threads():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


@pytest.mark.parametrize("first_out", [0, 1])
def test_of_fits_that_overlap_the_first_to_begin_limits_and_restores_the_threads(first_out):
    inside, out, seen = [Barrier(2), Barrier(2)], [Barrier(2), Barrier(2)], []
    (before,) = threads()

    def fit(number):
        with blas_threads(before + 1 + number, 1.0):
            inside[number].wait(10)
            out[number].wait(10)

    fits = [Thread(target=fit, args=(number,)) for number in range(2)]
    for number, each in enumerate(fits):
        each.start()
        inside[number].wait(10)
    for number in (first_out, 1 - first_out):
        seen.append(threads())
        out[number].wait(10)
        fits[number].join(10)
    seen.append(threads())

    assert seen == [{before + 1}, {before + (first_out == 1)}, {before}]


def test_a_thread_that_lives_on_leaves_the_threads_to_others():
    (before,) = threads()
    done, end = Event(), Event()

    def fit():
        with blas_threads(before + 1, 1.0):
            pass
        done.set()
        end.wait(10)

    other = Thread(target=fit)
    other.start()
    done.wait(10)
    with blas_threads(before + 2, 1.0):
        seen = threads()
    end.set()
    other.join(10)

    assert seen == {before + 2}
    assert threads() == {before}


def test_a_fit_that_fails_restores_the_threads():
    with threadpool_limits(3, "blas"):
        with pytest.raises(ZeroDivisionError), blas_threads(None, 1.0):
            raise ZeroDivisionError

        assert threads() == {3}


def test_large_steps_have_the_threads_that_there_are():
    with threadpool_limits(3, "blas"), blas_threads(None, SHARED_WORK):
        assert threads() == {3}
