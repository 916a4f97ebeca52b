"""SPECs: what is read, every mistake with the text it shows, and that printing inverts reading."""

import pickle

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from chainrule.errors import SpecError
from chainrule.spec import WORDS, Call, LayerSpec, NetworkSpec, format_spec, parse

ACTIVATIONS = ("celu", "elu", "leaky_relu", "logistic", "relu", "softmax", "tanh")
INITIALIZERS = ("glorot_uniform", "he_normal", "normal", "zeros")


def read(text: str) -> NetworkSpec:
    return parse(text, activations=ACTIVATIONS, initializers=INITIALIZERS)


def marked(error: SpecError) -> str:
    """What stands over the carets of the message."""
    *_, shown, carets = str(error).splitlines()
    return shown[carets.index("^") : len(carets)]


def test_a_network_is_read():
    spec = read("784 -> 128 relu dropout=0.2 -> 64 leaky_relu(0.1) batchnorm → 10 softmax")

    assert spec == NetworkSpec(
        784,
        (
            LayerSpec(128, Call("relu"), dropout=0.2),
            LayerSpec(64, Call("leaky_relu", (0.1,)), batchnorm=True),
            LayerSpec(10, Call("softmax")),
        ),
    )


def test_the_activation_is_identity_unless_given():
    assert read("2 -> 1") == read("2 -> 1 identity")
    assert read("2 -> 1").layers[0].activation == Call("identity")


def test_words_after_the_width_may_stand_in_any_order():
    first = read("2 -> 2 elu(alpha=0.5) dropout=0.1 batchnorm nobias residual init=normal(std=0.1)")
    second = read("2 -> 2 init=normal(std=0.1) residual nobias batchnorm dropout=0.1 elu(alpha=0.5)")

    layer = LayerSpec(
        2,
        Call("elu", (), (("alpha", 0.5),)),
        dropout=0.1,
        batchnorm=True,
        bias=False,
        residual=True,
        initializer=Call("normal", (), (("std", 0.1),)),
    )
    assert first == second == NetworkSpec(2, (layer,))


@pytest.mark.parametrize(
    "text",
    [
        "784->128 relu->10",
        "784→128 relu→10",
        " 784 -> 128\trelu\n  -> 10\n",
        "0784 -> 128 relu() -> 10",
    ],
)
def test_blanks_line_breaks_and_arrow_signs_make_no_difference(text):
    assert read(text) == read("784 -> 128 relu -> 10")


def test_any_initializer_is_accepted_when_none_are_listed():
    assert parse("2 -> 1 init=mine(3)", activations=()).layers[0].initializer == Call("mine", (3.0,))


def test_every_part_knows_its_place_in_the_text():
    text = "784 -> 128 relu init=zeros -> 10 softmax"

    spec = read(text)

    first, last = spec.layers
    assert spec.text == text
    assert text[first.position :].startswith("128")
    assert text[first.initializer.position :].startswith("zeros")
    assert text[last.position :].startswith("10")
    assert text[last.activation.position :].startswith("softmax")


def test_places_do_not_count_in_equality_and_hashing():
    one, other = read("784->10 softmax"), read("784   ->   10   softmax")

    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == other


MISTAKES = {
    "": "empty SPEC; write for example '784 -> 128 relu -> 10 softmax'",
    " \n\t": "empty SPEC; write for example '784 -> 128 relu -> 10 softmax'",
    "784 -> 128 rleu -> 10 softmax": """unknown word 'rleu' in layer 1; did you mean 'relu'?
  784 -> 128 rleu -> 10 softmax
             ^^^^""",
    "784 -> 128 ReLU": """unknown word 'ReLU' in layer 1; did you mean 'relu'?
  784 -> 128 ReLU
             ^^^^""",
    "784 -> 128 relu -> 10 no_bias": """unknown word 'no_bias' in layer 2; did you mean 'nobias'?
  784 -> 128 relu -> 10 no_bias
                        ^^^^^^^""",
    "784 -> 128 drop=0.5": """unknown word 'drop' in layer 1; did you mean 'dropout'?
  784 -> 128 drop=0.5
             ^^^^""",
    "784": """expected '->' after the number of inputs, found the end
  784
     ^""",
    "784 128 -> 10": """expected '->' after the number of inputs, found '128'
  784 128 -> 10
      ^^^""",
    "784-128": """expected '->' after the number of inputs, found '-128'
  784-128
     ^^^^""",
    "784 => 128": """expected '->' after the number of inputs, found '=>'
  784 => 128
      ^^""",
    "784 -> 128 tanh => 10": """unexpected '=>' in layer 1; an arrow is written '->'
  784 -> 128 tanh => 10
                  ^^""",
    "784 -> 128 dropout=0.5 --> 10": """unexpected '-->' in layer 1; an arrow is written '->'
  784 -> 128 dropout=0.5 --> 10
                         ^^^""",
    "784 -> 128 nobias ⇒ 10": """unexpected '⇒' in layer 1; an arrow is written '->'
  784 -> 128 nobias ⇒ 10
                    ^""",
    "784 – 128": """expected '->' after the number of inputs, found '–'
  784 – 128
      ^""",
    "-> 128 relu": """expected the number of inputs, found '->'
  -> 128 relu
  ^^""",
    "relu -> 10": """expected the number of inputs, found 'relu'
  relu -> 10
  ^^^^""",
    "0 -> 10": """the number of inputs must be a positive whole number, got '0'
  0 -> 10
  ^""",
    "784 -> 0 relu": """the width of layer 1 must be a positive whole number, got '0'
  784 -> 0 relu
         ^""",
    "784 -> 5 -> -5": """the width of layer 2 must be a positive whole number, got '-5'
  784 -> 5 -> -5
              ^^""",
    "784 -> 12.5": """the width of layer 1 must be a positive whole number, got '12.5'
  784 -> 12.5
         ^^^^""",
    "784 -> 1e3": """the width of layer 1 must be a positive whole number, got '1e3'
  784 -> 1e3
         ^^^""",
    "784 -> 128relu": """the width of layer 1 must be a positive whole number, got '128relu'
  784 -> 128relu
         ^^^^^^^""",
    "784 -> 1\uff12": """the width of layer 1 must be a positive whole number, got '1\uff12'
  784 -> 1\uff12
         ^^^""",
    "784 -> 10000001": """the width of layer 1 must be at most 10,000,000, got '10000001'
  784 -> 10000001
         ^^^^^^^^""",
    "784 -> relu": """expected the width of layer 1, found 'relu'
  784 -> relu
         ^^^^""",
    "784 -> -> 10": """expected the width of layer 1, found '->'
  784 -> -> 10
         ^^""",
    "784 -> 128 relu ->": """nothing follows the last arrow: layer 2 needs a width
  784 -> 128 relu ->
                  ^^""",
    "784 -> 128 64": (
        """unexpected number '64' in layer 1; a new layer needs '->' before it, \
a parameter needs brackets
  784 -> 128 64
             ^^"""
    ),
    "784 -> 128, relu": """unexpected ',' in layer 1; expected a word or '->'
  784 -> 128, relu
            ^""",
    "784 -> 128 relu tanh": """layer 1 has two activations, 'relu' and 'tanh'
  784 -> 128 relu tanh
                  ^^^^""",
    "784 -> 128 identity relu": """layer 1 has two activations, 'identity' and 'relu'
  784 -> 128 identity relu
                      ^^^^""",
    "784 -> 128 relu relu": """'relu' appears twice in layer 1
  784 -> 128 relu relu
                  ^^^^""",
    "784 -> 128 nobias relu nobias": """'nobias' appears twice in layer 1
  784 -> 128 nobias relu nobias
                         ^^^^^^""",
    "784 -> 128 dropout=0 dropout=0.5": """'dropout' appears twice in layer 1
  784 -> 128 dropout=0 dropout=0.5
                       ^^^^^^^""",
    "784 -> 128 dropout=1": """dropout must be in [0, 1), got '1'
  784 -> 128 dropout=1
                     ^""",
    "784 -> 128 dropout=-0.1 relu": """dropout must be in [0, 1), got '-0.1'
  784 -> 128 dropout=-0.1 relu
                     ^^^^""",
    "784 -> 128 dropout(0.5)": """'dropout' needs a value, as in dropout=0.5
  784 -> 128 dropout(0.5)
             ^^^^^^^""",
    "784 -> 128 dropout=half": """expected a probability after 'dropout=', found 'half'
  784 -> 128 dropout=half
                     ^^^^""",
    "784 -> 128 dropout=0.5.1": """cannot read '0.5.1' as a number
  784 -> 128 dropout=0.5.1
                     ^^^^^""",
    "784 -> 128 batchnorm=1": """'batchnorm' takes no value
  784 -> 128 batchnorm=1
                      ^""",
    "784 -> 128 nobias(1)": """'nobias' takes no value
  784 -> 128 nobias(1)
                   ^""",
    "784 -> 128 init": """'init' needs a value, as in init=he_normal
  784 -> 128 init
             ^^^^""",
    "784 -> 128 init=he_nrmal": """unknown name 'he_nrmal'; did you mean 'he_normal'?
  784 -> 128 init=he_nrmal
                  ^^^^^^^^""",
    "784 -> 128 init=3": """expected an initializer after 'init=', found '3'
  784 -> 128 init=3
                  ^""",
    "784 -> 128 elu=0.5": """a parameter of 'elu' goes in brackets
  784 -> 128 elu=0.5
                ^""",
    "784 -> 128 elu(0.5 -> 10": """'(' after 'elu' is never closed
  784 -> 128 elu(0.5 -> 10
                ^""",
    "784 -> 128 elu( -> 10 celu(1)": """'(' after 'elu' is never closed
  784 -> 128 elu( -> 10 celu(1)
                ^""",
    "784 -> 128 elu) -> 10": """')' closes no '('
  784 -> 128 elu) -> 10
                ^""",
    "784 -> 128 elu((0.5))": """expected a parameter of 'elu', found '('
  784 -> 128 elu((0.5))
                 ^""",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_shown_with_a_caret(text):
    with pytest.raises(SpecError) as caught:
        read(text)

    assert str(caught.value) == MISTAKES[text]


def test_blanks_at_the_end_do_not_move_the_caret():
    with pytest.raises(SpecError, match="found the end") as caught:
        read("784 \n ")

    assert caught.value.position == 3


def test_a_word_like_no_other_gets_the_list_of_words():
    with pytest.raises(SpecError, match="known names are") as caught:
        read("2 -> 1 zzzz")

    assert all(repr(name) in str(caught.value) for name in (*ACTIVATIONS, *WORDS, "identity"))


def test_a_width_of_thousands_of_digits_is_a_mistake_like_any_other():
    with pytest.raises(SpecError, match="at most 10,000,000"):
        read("2 -> " + "9" * 10_000)


def test_a_network_of_thousands_of_layers_is_read():
    spec = read("3" + " -> 3 tanh" * 5_000)

    assert len(spec.layers) == 5_000


def test_the_canonical_form_leaves_out_what_is_usual_and_orders_the_rest():
    text = "4→8 init=zeros() nobias dropout=.50 batchnorm residual relu→1 identity dropout=0"

    assert format_spec(read(text)) == ("4 -> 8 relu dropout=0.5 batchnorm nobias residual init=zeros -> 1")


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
PARAMETERS = st.dictionaries(st.sampled_from(["alpha", "beta", "q"]), NUMBERS, max_size=2)


def calls(names):
    return st.builds(
        Call,
        st.sampled_from(names),
        st.lists(NUMBERS, max_size=2).map(tuple),
        PARAMETERS.map(lambda found: tuple(found.items())),
    )


SIZES = st.integers(1, 10_000_000)
LAYERS = st.builds(
    LayerSpec,
    SIZES,
    calls((*ACTIVATIONS, "identity")),
    dropout=st.floats(0, 1, exclude_max=True),
    batchnorm=st.booleans(),
    bias=st.booleans(),
    residual=st.booleans(),
    initializer=st.none() | calls(INITIALIZERS),
)
SPECS = st.builds(NetworkSpec, SIZES, st.lists(LAYERS, min_size=1, max_size=4).map(tuple))


@given(SPECS)
def test_a_printed_spec_is_read_back_equal(spec):
    text = format_spec(spec)

    assert read(text) == spec
    assert format_spec(read(text)) == text


PIECES = ["784", "-5", "0.5", "1e3", "->", "→", "relu", "dropout", "batchnorm", "init", "zeros"]
PIECES += ["=", "(", ")", ",", "+", "-", ">", " ", "\n", "²", "σ", "（", "\x00"]


TEXTS = st.text() | st.builds(
    lambda blank, pieces: blank.join(pieces),
    st.sampled_from(["", " "]),
    st.lists(st.sampled_from(PIECES)),
)


def mistake(text: str) -> SpecError | None:
    try:
        read(text)
    except SpecError as error:
        return error
    return None


@given(TEXTS)
def test_any_text_is_read_or_refused_with_a_place(text):
    error = mistake(text)

    if error is None:
        assert read(format_spec(read(text))) == read(text)
    else:
        assert 0 <= error.position <= len(text)
        assert not text.strip() or set(str(error).splitlines()[-1]) <= {" ", "^"}


@settings(suppress_health_check=[HealthCheck.filter_too_much])  # many a text is too long for one line
@given(SPECS, st.data())
def test_a_planted_word_is_what_the_carets_mark(spec, data):
    words = format_spec(spec).split(" ")
    after = [i for i, word in enumerate(words) if i and words[i - 1] == "->" and word.isdecimal()]
    words.insert(data.draw(st.sampled_from(after)) + 1, "wrong")
    assume(len(" ".join(words)) < 80)

    with pytest.raises(SpecError, match="unknown word 'wrong'") as caught:
        read(" ".join(words))

    assert marked(caught.value) == "wrong"
