"""A reader of formulas: what a printed text or LaTeX says, computed with NumPy.

It shares nothing with the printers: it is written from the rules that a person reads by.
"""

import re

import numpy as np

SIZE = 3  # of every matrix: so a printed column of ones has one meaning

FUNCTIONS = {
    "exp": np.exp,
    "expm1": np.expm1,
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x, slope=0.01: np.where(x > 0, x, slope * x),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "sqrt": np.sqrt,
}
ONE = object()  # the 1 of a text: a column of ones beside other factors, and otherwise the number


class Reader:
    """Recursive descent over tokens (kind, text, does it stand at a beginning or after a space?)."""

    def __init__(self, tokens, values):
        self.tokens = [*tokens, ("end", "", True)]
        self.values = values
        self.at = 0

    @property
    def next(self):
        return self.tokens[self.at]

    def take(self, *expected):
        kind, text, _ = self.next
        assert not expected or text in expected, f"expected {expected}, found {self.tokens[self.at :]}"
        self.at += 1
        return kind, text

    def read(self):
        value = self.sum()
        assert self.next[0] == "end", self.tokens[self.at :]
        return value

    def sum(self):
        """[-] product {(+|-) product}."""
        negative = self.next[1] == "-" and self.take()
        value = -self.product() if negative else self.product()
        while self.next[1] in ("+", "-"):
            _, sign = self.take()
            term = self.product()
            value = value + term if sign == "+" else value - term
        return value

    def product(self):
        """Row {(∘ | wide /) row}, from the left."""
        value = self.row()
        while self.next[1] == "∘" or self.next[1:] == ("/", True):
            _, sign = self.take()
            value = value * self.row() if sign == "∘" else value / self.row()
        return value

    def row(self):
        """Factors side by side multiply as matrices; a narrow / divides what is before it."""
        value = self.factor()
        alone = True
        while True:
            if self.next[1:] == ("/", False):
                self.take()
                below = self.factor()
                value = number(value) / number(below)
            elif self.next[0] in ("name", "number", "one", "frac") or self.next[1:] in (("(", True), ("|", True)):
                value = times(value, self.factor())
            else:
                break
            alone = False
        return number(value) if alone else value

    def factor(self):
        value = self.primary()
        while self.next[1] in ("'", "^", ".^"):
            _, sign = self.take()
            if sign == "'":
                value = np.ones((1, SIZE)) if value is ONE else np.transpose(value)
            else:
                by_entries = sign == ".^" or self.tokens[self.at + 1][1] == "∘"
                assert by_entries or np.size(number(value)) == 1, "a matrix to a power, not its entries"
                exponent = self.group() if self.next[1] == "{" else self.exponent()
                value = number(value) ** exponent
        return value

    def primary(self):
        kind, text = self.take()
        if kind == "one":
            return ONE if text == "1" else np.ones((SIZE, 1))
        if kind == "number":
            return float(text)
        if kind == "frac":
            return self.group() / self.group()
        if kind == "name" and text in FUNCTIONS:
            arguments, parameters = self.arguments(), []
            if self.next[1:] == ("(", False):
                parameters, arguments = arguments, self.arguments()
            return FUNCTIONS[text](*arguments, *parameters)
        if kind == "name":
            return self.values[text]
        value = self.sum()
        closing = {"(": ")", "|": "|"}[text]
        self.take(closing)
        return np.abs(value) if text == "|" else value

    def exponent(self):
        negative = self.next[1] == "-" and self.take()
        return -float(self.take()[1]) if negative else float(self.take()[1])

    def group(self):
        self.take("{")
        if self.next[1] == "∘":  # a power entry by entry
            self.take()
        value = self.sum()
        self.take("}")
        return value

    def arguments(self):
        self.take("(")
        found = [self.sum()]
        while self.next[1] == ",":
            self.take()
            found.append(self.sum())
        self.take(")")
        return found


def number(value):
    return 1.0 if value is ONE else value


def times(a, b):
    a, b = (np.ones((SIZE, 1)) if x is ONE else x for x in (a, b))
    return a * b if np.size(a) == 1 or np.size(b) == 1 else a @ b


TEXT_TOKEN = re.compile(
    r"(?P<space>\s*)(?:(?P<number>\d+(?:\.\d+)?(?:e[+-]\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<punctuation>\.\^|[-+∘/'()|^,]))"
)
LATEX_TOKEN = re.compile(
    r"(?P<space>(?:\s|\\,)*)(?:\\left|\\right|\\biggl|\\biggr)?(?:(?P<transposed>\^\{\\top\})|(?P<one>\\mathbf\{1\})|(?P<frac>\\frac)"
    r"|(?P<number>10\^\{-\d+\}|\d+(?:\.\d+)?(?: \\cdot 10\^\{-\d+\})?)"
    r"|(?P<function>\\(?:exp|tanh|max|min|sigma)|\\operatorname\{[a-z \\]+\})(?:_\{(?P<parameter>[\d.]+)\})?"
    r"|(?P<name>(?:[A-Za-z]|\\eta|\\beta)(?:_\{\d\})?)|(?P<punctuation>[-+()|^,{}]|\\odot|\\oslash))"
)
LATEX_NAMES = {
    r"\max": "maximum",
    r"\min": "minimum",
    r"\sigma": "logistic",
    r"\operatorname{leaky\ relu}": "leaky_relu",
    r"\eta": "lr",
    r"\odot": "∘",
    r"\oslash": "/",
}


def matches(pattern, printed):
    at = 0
    while at < len(printed):
        match = pattern.match(printed, at)
        assert match, printed[at:]
        yield match
        at = match.end()


def begins(match, tokens):
    """Is there a space before it, or what opens a bracket? So a reader tells one bar from the other."""
    opened = tokens and (tokens[-1][1] in ("(", "-", "/", "{") or tokens[-1][1:] == ("|", True))
    return not tokens or bool(opened or match["space"] or re.match(r"\\(left|biggl)\|", match[0]))


def read_text(printed, values):
    """The value of a printed text."""
    tokens = []
    for match in matches(TEXT_TOKEN, printed):
        kind = "one" if match["number"] == "1" else match.lastgroup
        tokens.append((kind, match[match.lastgroup], begins(match, tokens)))
    return Reader(tokens, values).read()


def read_latex(printed, values):
    """The value of printed LaTeX."""
    tokens = []
    for match in matches(LATEX_TOKEN, printed):
        kind = "function" if match["function"] else match.lastgroup
        text = LATEX_NAMES.get(match[kind], match[kind])
        if kind == "number":
            text = text.replace(r" \cdot 10^", "e").replace("10^", "1e").strip("{}").replace("{", "")
        elif kind in ("function", "name"):
            kind, text = "name", re.sub(r"[\\_{}]", "", text) if text != "leaky_relu" else text
        elif kind == "transposed":
            kind, text = "punctuation", "'"
        tokens.append((kind, text, begins(match, tokens)))
        if match["parameter"]:
            shown = [("punctuation", "("), ("number", match["parameter"]), ("punctuation", ")")]
            tokens += [(*token, False) for token in shown]
    return Reader(tokens, values).read()
