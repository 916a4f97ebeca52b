"""Formulas and derivations as LaTeX. amsmath is all it needs; MathJax and KaTeX read it too."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import Literal, get_args

from chainrule.asked import check_expression
from chainrule.derive import Equation
from chainrule.errors import UnknownNameError
from chainrule.expr import Node, define_op, is_atom, toposort
from chainrule.functions import Function
from chainrule.render.alphabet import ATOM, POSTFIX, PRODUCT, STACKED, SUM, Form, Notation, form
from chainrule.render.lines import Piece, Written, broken, joined
from chainrule.render.notation import compose
from chainrule.render.numbers import number_text
from chainrule.render.text import without_repeats
from chainrule.shapes import Shape, Size

Derivatives = Literal["delta", "partial"]
LINE = 66.0  # letters in a line of an A4 article at 10 points, 345 points wide
GAPS = 6.5  # letters for the sign = and the space before the shape
RULE = 18  # letters of a rule beside an equation; a longer one goes on below
NARROWEST = 26.0  # letters: a formula is not broken to fewer for the sake of a rule beside it
UNBROKEN = 20  # lines of a display that stay on one page: a third of it
QUAD = 2.0  # letters of one \quad

GREEK = frozenset({
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu",
    "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda",
    "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
})  # fmt: skip
WORDS = {"eps": r"\epsilon", "lam": r"\lambda", "lr": r"\eta", "learning_rate": r"\eta", "loss": "L"}
UPRIGHT = frozenset({"exp", "log", "max", "min", "sin", "cos", "tanh"})  # commands that set their own letters
UNSEEN = frozenset(
    {"operatorname", "mathrm", "mathbf", "text", "frac", "left", "right", "biggl", "biggr", "hat", "dot", ","}
)
SCRIPT = re.compile(r"[_^]\{([^{}]*)\}")
A_DERIVATIVE = re.compile(r"d([A-Z]\d*|b\d+|(?:gamma|beta)\d+)")


# ---- names


def name_latex(name: str) -> Written:
    r"""A Python identifier: W1 is W_{1}, m_W1 is m_{W_{1}}, gamma1 is \gamma_{1}, W1_next is W_{1}^{+}, loss is L.

    `m_hat` wears its hat, `Z1_dot` its dot, `beta1_t` is the t-th power or step and `beta1_t_next` the one after it,
    `lr` is \eta. Words are upright, and letters that are neither Latin nor Greek are text.
    """
    base, step, after = name, "", ""
    if base not in WORDS and (match := re.fullmatch(r"(.*?[^_])(_t)?(_next)?", base)):
        base, step, after = (part or "" for part in match.groups())
    stem, *below = [base] if base in WORDS or "" in base.split("_") else base.split("_")
    letter, digits = _stem(stem)
    for accent in ("hat", "dot"):
        if accent in below:
            below.remove(accent)
            letter = rf"\{accent}{{{letter}}}"
    subscripts = [*([digits] if digits else []), *(name_latex(part).text for part in below)]
    latex = letter + (f"_{{{','.join(subscripts)}}}" if subscripts else "")
    raised = ("t+1" if after else "t") if step else "+" if after else ""
    width = _measure(latex) + len(raised)
    return Written((Piece(f"{latex}^{{{raised}}}" if raised else latex, width),), POSTFIX if raised else ATOM)


def _stem(word: str) -> tuple[str, str]:
    """The letter or word, and the digits after it."""
    if word in WORDS or re.fullmatch("[0-9]+", word):
        return WORDS.get(word, word), ""
    match = re.fullmatch(r"([^\W\d_]+)([0-9]*)", word)
    if not match:
        return _word(word), ""
    letters, digits = match.groups()
    if letters in WORDS:
        return WORDS[letters], digits
    if letters in GREEK:
        return f"\\{letters}", digits
    return (letters if len(letters) == 1 and letters.isascii() else _word(letters)), digits


def _word(word: str) -> str:
    escaped = word.replace("_", r"\_")
    if word.isascii():
        return rf"\mathrm{{{escaped}}}"
    letter = unicodedata.name(word, "") if len(word) == 1 else ""
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", letter)
    if greek:
        spelt = greek[2].replace("LAMDA", "LAMBDA").capitalize()
        spelt = spelt.lower() if greek[1] == "SMALL" else spelt
        if spelt in GREEK:
            return f"\\{spelt}"
    return rf"\text{{{escaped}}}"


def _name(name: str, derivatives: Derivatives, known: Collection[str], multiples: Collection[str]) -> Written:
    """A name, or the derivative that it stands for: dW1 is dL/dW1, and dZ1 also the error signal delta^1.

    A tangent such as dW1_dot has a dot on its L or delta. A multiple of a derivative is dW1, with an upright d.
    """
    bare = name.removesuffix("_dot")
    loss, error_signal = ("L", r"\delta") if bare == name else (r"\dot{L}", r"\dot{\delta}")
    of = bare[1:] if bare[0] == "d" and bare[1:] in known else ""
    if not of and (match := A_DERIVATIVE.fullmatch(bare)):
        of = match[1]
    if not of:
        return name_latex(name)
    layer = re.fullmatch(r"Z(\d*)", of)
    if layer and derivatives == "delta":
        latex = error_signal + (f"^{{{layer[1]}}}" if layer[1] else "")
        return Written((Piece(latex, _measure(latex)),), POSTFIX if layer[1] else ATOM)
    below = name_latex(of)
    if bare in multiples:
        d = "d" if bare == name else r"\dot{d}"
        return Written((Piece(rf"\mathrm{{{d}}}{below.text}", 1 + _measure(below.text)),), ATOM)
    latex = rf"\frac{{\partial {loss}}}{{\partial {below.text}}}"
    return Written((Piece(latex, 2 + _measure(below.text)),), POSTFIX, tall=True)


# ---- the alphabet


def _number(value: float, *, exact: bool = False) -> Written:
    digits, _, exponent = number_text(abs(value), exact=exact).partition("e")
    power = f"10^{{{int(exponent)}}}" if exponent else ""
    if not digits[0].isdigit():
        latex, binds = (r"\infty" if digits == "inf" else rf"\mathrm{{{digits}}}"), ATOM
    elif power:
        latex, binds = (power, POSTFIX) if digits == "1" else (rf"{digits} \cdot {power}", PRODUCT)
    else:
        latex, binds = digits, ATOM
    latex, binds = (f"-{latex}", SUM) if value < 0 else (latex, binds)
    return Written((Piece(latex, _measure(latex)),), binds)


def _form(function: Function, values: tuple[float, ...]) -> Form:
    """The template of the rule book; parameters that it does not show stand below the function's name."""
    template = function.latex
    if values != tuple(function.parameters.values()) and "{p0}" not in template:
        head, bracket, rest = template.partition("(")
        shown = ", ".join(f"{{p{i}}}" for i in range(len(values)))
        template = f"{head}_{{{{{shown}}}}}{bracket}{rest}"
    if template.startswith(r"\frac"):
        return Form(template, POSTFIX, tall=True)
    return form(template)


def _measure(latex: str) -> float:
    """About how many letters wide this is set."""
    scripts = re.findall(SCRIPT, latex)
    if scripts:
        return _measure(re.sub(SCRIPT, "", latex)) + 0.7 * sum(map(_measure, scripts))
    width = 0.0
    for command, sign in re.findall(r"\\([A-Za-z]+|.)|([^\s{}^_])", latex):
        if sign:
            width += 2.4 if sign in "+-=>" else 0.6 if sign in ".,()[]|" else 1.5 if sign.isupper() else 1
        elif command in UPRIGHT:
            width += len(command)
        elif command in ("odot", "oslash", "cdot"):
            width += 2.4
        elif command not in UNSEEN:
            width += 1.2
    return width


def _encloses(start: str) -> bool:
    return start.count("{") > start.count("}") or r"\left" in start


def _enlarged(template: str, width: float) -> str:
    """Brackets as high as the fractions between them: of their own size where no line need end inside."""
    left, right = (r"\left", r"\right") if width <= STACKED else (r"\biggl", r"\biggr")
    template = re.sub(r"[(\[]", lambda m: left + m[0], re.sub(r"[)\]]", lambda m: right + m[0], template))
    return re.sub(r"\|(.*)\|", lambda m: f"{left}|{m[1]}{right}|", template)


LATEX = Notation(
    name=name_latex,
    number=_number,
    function=_form,
    turned=lambda function: form(function.latex_transposed) if function.latex_transposed else None,
    measure=_measure,
    encloses=_encloses,
    enlarged=_enlarged,
    space=0.3,
    one=r"\mathbf{1}",
    identity="I",
    apart=r" \, ",
    transposed=r"{0}^{{\top}}",
    power="{0}^{{{1}}}",
    hadamard=r"\odot",
    divided=r"\oslash",
    stacked=r"\begin{{bmatrix}} {0} \end{{bmatrix}}",
    beside=" & ",
    below=r" \\ ",
    block="{0}[{1}, {2}]",
    span="{0}{{:}}{1}",
    fraction=r"\frac{{{0}}}{{{1}}}",
)


def alphabet(
    derivatives: Derivatives = "delta", known: Collection[str] = (), multiples: Collection[str] = ()
) -> Notation:
    """The notation in which dZ1 is an error signal or a derivative; so is d before a name that is known."""
    ways = get_args(Derivatives)
    if derivatives not in ways:
        raise UnknownNameError(f"derivatives are written as one of {', '.join(ways)}, got {derivatives!r}")
    return replace(LATEX, name=partial(_name, derivatives=derivatives, known=known, multiples=multiples))


# ---- expressions and derivations


def latex(expression: Node, *, derivatives: Derivatives = "delta") -> str:
    r"""Write an expression as LaTeX: `\top` transposes, `\odot` is the Hadamard product, a bold 1 a column of ones.

    Names follow the field: `W1` is `W_{1}`, `gamma1` is `\gamma_{1}`, `m_W1` is `m_{W_{1}}`, `loss` is `L`, `lr` is
    `\eta`, and the next value `W1_next` of a step is `W_{1}^{+}`. `dW1` is `\frac{\partial L}{\partial W_{1}}`.
    A fraction of matrices divides entry by entry, as `\oslash` does where the fraction would be long.

    Parameters
    ----------
    expression : Node
    derivatives : {"delta", "partial"}, default="delta"
        Write the error signal `dZ1` of a layer as `\delta^{1}` or as `\frac{\partial L}{\partial Z_{1}}`.

    Returns
    -------
    str
        One line, for math mode; needs amsmath. A defined expression is written with its name.

    Raises
    ------
    UnknownNameError
        If `derivatives` is neither.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, W, b = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("b", 1, "k")
    >>> print(cr.latex(cr.tanh(X @ W + cr.ones("n") @ b)))
    \tanh(X W + \mathbf{1} b)
    """
    check_expression("latex", expression)
    to = alphabet(derivatives, {str(node.name) for node in toposort(expression) if is_atom(node)})
    if expression.op is define_op:
        return f"{to.name(expression.value).text} = {compose(expression.args[0], to).text}"
    return compose(expression, to).text


def equations_latex(
    equations: Iterable[Equation],
    *,
    derivatives: Derivatives = "delta",
    rules: bool = False,
    multiples: Collection[str] = (),
    notes: Iterable[str] = (),
) -> str:
    r"""The equations by phase with their shapes, as an `align*` that fits an A4 article and needs amsmath only.

    Phases are lines of the alignment, not `\intertext`, which web pages and notebooks do not know. Names that stand
    for `multiples` of derivatives are not written as derivatives; the `notes` say which multiples.
    """
    return _aligned(list(equations), derivatives, rules, multiples, notes)


def within_pages(body: str, rows: int) -> str:
    """An `align*`; inside a long one a page may end."""
    display = f"\\begin{{align*}}\n{body}\n\\end{{align*}}"
    return f"{{\\allowdisplaybreaks\n{display}}}" if rows > UNBROKEN else display


def escaped(text: str) -> str:
    """Plain text between formulas."""
    signs = {"∘": r"$\odot$", "\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\~{}", "<": r"$<$", ">": r"$>$"}
    return "".join(signs.get(c, f"\\{c}" if c in "_{}%&#$" else c) for c in text)


def document(equations: Iterable[Equation], *, derivatives: Derivatives = "delta") -> str:
    """A complete LaTeX file with the equations; a page ends after none of its headings."""
    head = "\\documentclass[a4paper]{article}\n\\usepackage{amsmath}\n\\begin{document}"
    return f"{head}\n{_aligned(list(equations), derivatives)}\n\\end{{document}}\n"


def _aligned(
    equations: list[Equation],
    derivatives: Derivatives,
    rules: bool = False,
    multiples: Collection[str] = (),
    notes: Iterable[str] = (),
) -> str:
    equations, likewise = without_repeats(equations)
    names = {str(n.name) for n in toposort(*(e.expression for e in equations)) if is_atom(n)}
    to = alphabet(derivatives, names | {e.name for e in equations}, multiples)
    left = [to.name(e.name) for e in equations]
    shapes = [_shape(e.shape) for e in equations]
    width = LINE - GAPS - max((_measure(s) for s in shapes), default=0)
    said = [textwrap.wrap(e.rule, RULE) if rules else [] for e in equations]
    width -= max((p.width for w in left for p in w.pieces), default=0)
    formulas = [compose(e.expression, to).pieces for e in equations]
    widest = max((p.width + indent(p) for pieces in formulas for p in pieces), default=0)
    beside = width - max((len(line) + 2 * QUAD for lines in said for line in lines), default=0)
    below = beside < max(widest, NARROWEST)  # rules do not fit beside the formulas
    width = width if below else beside
    rows = [rf"  &\rlap{{\text{{{note_latex(note, derivatives)}}}}} \\" for note in notes]
    headings: list[int] = []
    for i, (e, name, shape, pieces, rule) in enumerate(zip(equations, left, shapes, formulas, said, strict=True)):
        if i == 0 or e.phase != equations[i - 1].phase:
            headings.append(len(rows))
            rows.append(rf"  &\textit{{{e.phase}}} \\")
        first, *more = broken(pieces, width, width, indent, to.space)
        lines = [f"{name.text} &= {joined(first)} && {shape}", *(f"&{quads(w[0])} {{}}{joined(w)}" for w in more)]
        lines += [rf"&\quad\textit{{{escaped(e.rule)}}}"] if below and rule else []
        for k, (line, word) in enumerate(zip_longest(lines, [] if below else rule)):
            note = "" if not word else rf"{'' if k == 0 else ' &&'} && \textit{{{escaped(word)}}}"
            rows.append(rf"  {line or '&'}{note} \\")
    if likewise:
        rows.append(rf"  &\textit{{likewise for }} {', '.join(name_latex(name).text for name in likewise)} \\")
    for at in headings if len(rows) > UNBROKEN else ():
        rows[at] += "*"  # no page ends after it
    return within_pages("\n".join(rows).removesuffix(r" \\"), len(rows))


def note_latex(words: str, derivatives: Derivatives) -> str:
    """A sentence with its names in formulas."""
    if derivatives == "delta":
        words = words.replace("dZ", r"$\delta$")
    words = re.sub(r"\bd([A-Zb])\b", r"$\\mathrm{d}\1$", words)
    return re.sub(r"(-?(?:1/)?[ns1])(?= times)", r"$\1$", words).replace("net.loss", "that of the network")


def _shape(shape: Shape) -> str:
    return r"\in \mathbf{R}" + ("" if shape == (1, 1) else rf"^{{{_size(shape[0])} \times {_size(shape[1])}}}")


def _size(size: Size) -> str:
    return str(size) if isinstance(size, int) else name_latex(size).text


def quads(piece: Piece) -> str:
    """The space that a line begins with which goes on inside a formula."""
    return r"\quad" * _depth(piece)


def indent(piece: Piece) -> float:
    """How wide that is."""
    return QUAD * _depth(piece)


def _depth(piece: Piece) -> int:
    return 1 + min(piece.level, 4)
