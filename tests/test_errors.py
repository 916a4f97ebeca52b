"""The exceptions: their bases, their text, and that they survive a trip to another process."""

import copy
import pickle

import pytest

from chainrule import errors
from chainrule.errors import SpecError, nearest


def lines(error: SpecError) -> list[str]:
    return str(error).splitlines()


@pytest.mark.parametrize("name", errors.__all__)
def test_every_exception_is_a_value_error_with_one_line_of_text(name):
    exception = getattr(errors, name)

    assert issubclass(exception, ValueError)
    assert len(exception.__doc__.splitlines()) == 1


def test_a_spec_error_shows_the_text_and_carets_under_the_mistake():
    error = SpecError("unknown word 'rleu'", "784 -> 128 rleu -> 10", position=11, length=4)

    assert lines(error) == [
        "unknown word 'rleu'",
        "  784 -> 128 rleu -> 10",
        "             ^^^^",
    ]


def test_a_mistake_at_the_end_has_one_caret_after_the_text():
    assert lines(SpecError("expected more", "784", position=3, length=0))[1:] == ["  784", "     ^"]


def test_line_breaks_and_tabs_become_blanks_so_that_carets_stay_under_the_mistake():
    assert lines(SpecError("no", "784\n->\tx", position=7))[1:] == ["  784 -> x", "         ^"]


def test_wide_and_combining_characters_keep_the_carets_in_place():
    assert lines(SpecError("no", "（e\u0301x", position=3))[2] == "     ^"
    assert lines(SpecError("no", "x（", position=1))[2] == "   ^^"


def test_an_empty_text_is_not_shown():
    assert str(SpecError("empty SPEC", " \n", position=0)) == "empty SPEC"


@pytest.mark.parametrize("position", [0, 3, 50, 500, 990, 999])
def test_a_long_text_is_cut_to_one_line_around_the_mistake(position):
    text = "_" * position + "X" + "_" * (999 - position)

    shown, carets = lines(SpecError("no", text, position))[1:]

    assert len(shown) < 100
    assert shown[carets.index("^")] == "X"
    assert carets.count("^") == 1
    assert shown.startswith("  ...") == (position > 44)
    assert shown.endswith("...") == (position < 950)


def test_carets_end_where_a_cut_text_ends():
    shown, carets = lines(SpecError("no", "." * 10 + "X" * 500, position=10, length=500))[1:]

    assert len(carets) == len(shown.removesuffix("..."))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_a_spec_error_survives_copying_and_pickling(again):
    error = SpecError("no", "784 -> x", position=7, length=1)

    twin = again(error)

    assert str(twin) == str(error)
    assert (twin.message, twin.text, twin.position, twin.length) == ("no", "784 -> x", 7, 1)


def test_nearest_suggests_a_name_that_is_close():
    assert nearest("rleu", ["tanh", "relu"]) == "; did you mean 'relu'?"


def test_nearest_ignores_capitals():
    assert nearest("RELU", ["tanh", "relu"]) == "; did you mean 'relu'?"
    assert nearest("identty", ["Identity", "tanh"]) == "; did you mean 'Identity'?"


def test_nearest_takes_what_is_no_text():
    assert nearest(["relu"], ["tanh", "relu"]) == "; did you mean 'relu'?"
    assert nearest(None, ["tanh", "relu"]) == "; known names are 'relu', 'tanh'"


def test_nearest_lists_what_is_known_when_nothing_is_close():
    assert nearest("swirl", iter(["tanh", "relu", "tanh"])) == "; known names are 'relu', 'tanh'"


def test_nearest_is_silent_when_nothing_is_known():
    assert nearest("relu", []) == ""


def test_nearest_names_a_few_of_very_many():
    known = [f"name{i:02}" for i in range(40)]

    assert nearest("zzz", known).startswith("; the nearest of 40 names are 'name")
    assert nearest("zzz", known).count("'name") == 3
    assert nearest("zzz", known, "see --help").endswith("': see --help")
