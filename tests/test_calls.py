"""Calls and sums of calls: what is read, what is refused and where, and that printing inverts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.calls import Call, bind, format_call, parse_call, parse_sum
from chainrule.errors import SpecError

NAMES = st.sampled_from(["huber", "quantile", "l1", "l2", "_x", "σ", "e1"])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
CALLS = st.builds(
    Call,
    NAMES,
    st.lists(NUMBERS, max_size=3).map(tuple),
    st.dictionaries(NAMES, NUMBERS, max_size=3).map(lambda found: tuple(found.items())),
)


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("huber", Call("huber")),
        ("huber()", Call("huber")),
        (" huber ( 0.5 ) ", Call("huber", (0.5,))),
        ("quantile(q=0.9)", Call("quantile", (), (("q", 0.9),))),
        ("f(1, 2, a=3, b=4)", Call("f", (1.0, 2.0), (("a", 3.0), ("b", 4.0)))),
        ("f(-1e-3, +.5, 2., 1E2)", Call("f", (-0.001, 0.5, 2.0, 100.0))),
    ],
)
def test_a_call_is_read(text, call):
    assert parse_call(text) == call


def test_calls_of_a_sum_keep_their_order_and_their_places():
    text = "l2(0.01)+l1(+0.001) + l2"

    calls = parse_sum(text)

    assert calls == (Call("l2", (0.01,)), Call("l1", (0.001,)), Call("l2"))
    assert [text[call.position :][:2] for call in calls] == ["l2", "l1", "l2"]


@given(CALLS)
def test_a_printed_call_is_read_back_equal(call):
    assert parse_call(format_call(call)) == call


@given(st.lists(CALLS, min_size=1, max_size=4))
def test_a_printed_sum_is_read_back_equal(calls):
    assert parse_sum(" + ".join(map(format_call, calls))) == tuple(calls)


def test_a_printed_number_is_the_shortest_and_plain():
    assert format_call(Call("f", (1, 0.1, -2.0, 1e-7), (("a", 3.0),))) == "f(1, 0.1, -2, 1e-07, a=3)"


MISTAKES = {
    "": "expected a name, found the end",
    "3": """expected a name, found '3'
  3
  ^""",
    "hubr(0.5)": """unknown name 'hubr'; did you mean 'huber'?
  hubr(0.5)
  ^^^^""",
    "huber(0.5": """'(' after 'huber' is never closed
  huber(0.5
       ^""",
    "huber(0.5) + l2": """unexpected '+' after 'huber'
  huber(0.5) + l2
             ^""",
    "huber 0.5": """unexpected '0.5' after 'huber'
  huber 0.5
        ^^^""",
    "huber(0.5 1)": """expected ',' or ')', found '1'
  huber(0.5 1)
            ^""",
    "huber(,)": """expected a parameter of 'huber', found ','
  huber(,)
        ^""",
    "huber(0.5,)": """expected a parameter of 'huber', found ')'
  huber(0.5,)
            ^""",
    "huber(0.5.1)": """cannot read '0.5.1' as a number
  huber(0.5.1)
        ^^^^^""",
    "huber(1e999)": """'1e999' is too large for a number
  huber(1e999)
        ^^^^^""",
    "huber(nan)": """a parameter of 'huber' is a number or name=number, found 'nan'
  huber(nan)
        ^^^""",
    "huber(a=b)": """expected a number after 'a=', found 'b'
  huber(a=b)
          ^""",
    "huber(a=1, 2)": """'2' without a name stands after a named parameter
  huber(a=1, 2)
             ^""",
    "huber(a=1, a=2)": """a parameter of 'huber' is given twice: 'a'
  huber(a=1, a=2)
             ^""",
    "huber(open('x'))": """a parameter of 'huber' is a number or name=number, found 'open'
  huber(open('x'))
        ^^^^""",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_a_call_is_shown_with_a_caret(text):
    with pytest.raises(SpecError) as caught:
        parse_call(text, known=["huber"])

    assert str(caught.value) == MISTAKES[text]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("l2(0.01) +", "expected a name after '[+]', found the end"),
        ("l2(0.01) l1(2)", "unexpected 'l1' after 'l2'"),
        ("l2(0.01) - l1(2)", "unexpected '-' after 'l2'"),
        ("2 * l2(0.01)", "expected a name, found '2'"),
        ("l2(0.01) + l3(1)", "unknown name 'l3'"),
    ],
)
def test_a_mistake_in_a_sum_is_named(text, message):
    with pytest.raises(SpecError, match=message):
        parse_sum(text, known=["l1", "l2"])


def test_bind_takes_values_by_place_by_name_and_by_default():
    declared = [("a", 1.0), ("b", 2.0), ("c", None)]

    assert bind(parse_call("f(5, c=7)"), declared) == (5.0, 2.0, 7.0)
    assert bind(parse_call("f(5, 6, 7)"), declared) == (5.0, 6.0, 7.0)
    assert bind(parse_call("f(c=7, a=0)"), declared) == (0.0, 2.0, 7.0)
    assert bind(parse_call("f"), []) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f(1, 2, 3)", "too many parameters for 'f': it takes alpha, beta, got 3"),
        ("f(1, gamma=2)", "'f' has no parameter 'gamma'; known names are 'alpha', 'beta'"),
        ("f(1, bta=2)", "'f' has no parameter 'bta'; did you mean 'beta'[?]"),
        ("f(1, alpha=2)", "parameter 'alpha' of 'f' is given twice"),
        ("f(beta=2)", r"'f' needs 'alpha', as in f\(alpha=0.5\)"),
    ],
)
def test_bind_refuses_parameters_that_were_not_declared(text, message):
    with pytest.raises(SpecError, match=message):
        bind(parse_call(text), [("alpha", None), ("beta", 1.0)])


def test_bind_says_none_where_there_are_no_parameters():
    with pytest.raises(SpecError, match="too many parameters for 'relu': it takes none, got 1"):
        bind(parse_call("relu(1)"), [])


def test_bind_points_into_the_text_that_the_call_came_from():
    text = "l2(0.01) + l1(1, 2)"

    with pytest.raises(SpecError) as caught:
        bind(parse_sum(text)[1], [("strength", None)], text)

    assert str(caught.value).splitlines()[1:] == [f"  {text}", "             ^^"]
