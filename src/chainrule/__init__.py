"""Dense networks as matrix equations: declare them, derive them, check them, train them.

This file says where each public name lives and loads it on first use, so that importing chainrule
imports neither scikit-learn nor a compiler. Nothing is computed here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from chainrule.check.arithmetic import check_arithmetic as check_arithmetic
    from chainrule.check.gradient import check_gradient as check_gradient
    from chainrule.conventions import CONVENTIONS as CONVENTIONS
    from chainrule.conventions import Convention as Convention
    from chainrule.derivatives import differentiate as differentiate
    from chainrule.derive import gradient as gradient
    from chainrule.derive import gradients as gradients
    from chainrule.directional import gauss_newton_product as gauss_newton_product
    from chainrule.directional import hessian_vector_product as hessian_vector_product
    from chainrule.directional import jvp as jvp
    from chainrule.directional import vjp as vjp
    from chainrule.estimators import MLPClassifier as MLPClassifier
    from chainrule.estimators import MLPRegressor as MLPRegressor
    from chainrule.evaluate import evaluate as evaluate
    from chainrule.expr import define as define
    from chainrule.expr import full as full
    from chainrule.expr import matrix as matrix
    from chainrule.expr import ones as ones
    from chainrule.expr import scalar as scalar
    from chainrule.expr import scale as scale
    from chainrule.expr import sum as sum
    from chainrule.hessians import hessian as hessian
    from chainrule.layers import Dense as Dense
    from chainrule.network import Network as Network
    from chainrule.persist import load as load
    from chainrule.persist import save as save
    from chainrule.program.source import source as source
    from chainrule.render.latex import latex as latex
    from chainrule.render.text import text as text
    from chainrule.stack import block as block
    from chainrule.stack import hstack as hstack
    from chainrule.stack import vstack as vstack
    from chainrule.typed import parse as parse

__version__ = "0.1.0"

_HOME = {
    name: module
    for module, names in {
        "expr": "matrix scalar ones full define scale sum",
        "stack": "hstack vstack block",
        "derive": "gradient gradients",
        "conventions": "Convention CONVENTIONS",
        "directional": "jvp vjp hessian_vector_product gauss_newton_product",
        "hessians": "hessian",
        "derivatives": "differentiate",
        "typed": "parse",
        "evaluate": "evaluate",
        "render.text": "text",
        "render.latex": "latex",
        "program.source": "source",
        "network": "Network",
        "layers": "Dense",
        "check.gradient": "check_gradient",
        "check.arithmetic": "check_arithmetic",
        "check.doctor": "diagnose",
        "estimators": "MLPClassifier MLPRegressor",
        "persist": "save load",
    }.items()
    for name in names.split()
}
# These modules say themselves, in their __all__, what they make public.
_RULE_BOOK = ("errors", "functions", "primitives", "matrix_functions", "activations", "losses", "penalties")


def _load(module: str) -> Any:
    """Return the submodule, or None where it is not written yet."""
    path = f"{__name__}.{module}"
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if f"{path}.".startswith(f"{error.name}."):
            return None
        raise


def _placeholder(name: str) -> Any:
    """Return what stands for a declared name until it is built."""

    def not_built(*_: object, **__: object) -> NoReturn:
        raise NotImplementedError(f"{__name__}.{name} is declared but not built yet")

    return not_built


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return __dir__()
    if name in _HOME:
        value = getattr(_load(_HOME[name]), name, None) or _placeholder(name)
    elif name.startswith("_"):
        value = None
    else:
        books = (_load(module) for module in _RULE_BOOK)
        value = next((getattr(book, name) for book in books if name in _names(book)), None)
    if value is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    books = (_load(module) for module in _RULE_BOOK)
    return sorted({*_HOME, "__version__", *(name for book in books for name in _names(book))})


def _names(book: Any) -> tuple[str, ...]:
    return tuple(getattr(book, "__all__", ()))


__getattr__("evaluate")  # at once, because its module, of the same name, would hide it later
