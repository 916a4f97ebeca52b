"""The house rules that a machine can check, each shown a planted mistake."""

import ast
import re
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
LONGEST_FILE = 400

# From the ground up. A module imports from lower rows only; a package has one place for all of its
# modules, unless one of them is named here itself.
LAYERS = [
    "errors",
    "shapes python_form calls initializers atomic tables",
    "expr model_file",
    "asked stack substitute",
    "adjoint",
    "functions",
    "primitives",
    "activations matrix_functions",
    "algebra rewrite losses penalties updates",
    "arrays spec line_sums transposes",
    "layers rules",
    "products",
    "nonnegative",
    "coefficients kronecker diagonals",
    "identities reread",
    "stable",
    "derive conventions",
    "graph reissue directional tangents operators",
    "hessians formula sizing",
    "reading",
    "typed",
    "render evaluate",
    "check",
    "program",
    "breaks worked remarks points",
    "engine",
    "derivatives",
    "derivation",
    "issue",
    "uses",
    "network",
    "engine.lowering",
    "engine.programs engine.listing",
    "check.doctor",
    "train",
    "estimators export",
    "pipeline",
    "persist",
    "cli",
    "__main__",
    "chainrule",  # the package itself: names only
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}


def module_name(path):
    """Return the dotted name below `chainrule`; the package's own is `chainrule`."""
    parts = path.relative_to(SOURCE / "chainrule").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "chainrule"


MODULES = {module_name(p): p.read_text("utf-8") for p in sorted(SOURCE.rglob("*.py"))}


def layer(module):
    """Return the entry of `LAYERS` for a module: its own name, or that of a package around it."""
    while module and module not in RANK:
        module = module.rpartition(".")[0]
    return module


def is_for_types_only(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(text):
    """Yield the modules of chainrule that a source imports, anywhere in it but for its annotations."""
    tree = ast.parse(text)
    ignored = {id(inner) for node in ast.walk(tree) if is_for_types_only(node) for inner in node.body}
    for node in ast.walk(tree):
        if id(node) in ignored:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: say `from chainrule.x import y`"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [each for each in inside if each.removeprefix("chainrule.") in MODULES] or [node.module]
        else:
            continue
        yield from (n.removeprefix("chainrule.") for n in names if f"{n}.".startswith("chainrule."))


def upward_imports(module, text):
    own = layer(module)
    return [name for name in imports(text) if layer(name) != own and RANK[layer(name)] >= RANK[own]]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_place(module):
    assert layer(module), f"add {module!r} to LAYERS in {Path(__file__).name}, above what it imports"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module):
    upwards = upward_imports(module, MODULES[module])

    assert not upwards, f"{module} imports {upwards} from its own layer or above"


@pytest.mark.parametrize(
    "text",
    [
        "import chainrule",
        "import chainrule.network",
        "from chainrule import derive",
        "from chainrule.algebra import collect",
        "def f():\n    from chainrule.rules import RULES",
    ],
)
def test_an_upward_import_is_found(text):
    assert upward_imports("losses", text)


def test_a_downward_import_is_allowed():
    text = """
import numpy
from chainrule.expr import Node
from chainrule.errors import ShapeError
if TYPE_CHECKING:
    from chainrule.network import Network
"""

    assert not upward_imports("losses", text)


def test_files_are_short():
    lengths = {module: text.count("\n") for module, text in MODULES.items()}

    assert not {module: n for module, n in lengths.items() if n > LONGEST_FILE}


def calls_of(name, text):
    """Return the lines that call the built-in function `name`, bare or through a module."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and ((isinstance(node.func, ast.Name) and node.func.id == name) or ast.unparse(node.func) == f"builtins.{name}")
    ]


def test_code_is_executed_in_one_place_and_text_is_never_evaluated():
    executed = [module for module, text in MODULES.items() for _ in calls_of("exec", text)]
    evaluated = [module for module, text in MODULES.items() for _ in calls_of("eval", text)]

    assert len(executed) <= 1
    assert not evaluated


def test_an_evaluation_is_found():
    assert calls_of("eval", "x = builtins.eval('1')\ny = eval('2')\nz = model.eval()") == [1, 2]


RULE_BOOK = ("activations", "losses", "penalties", "updates")


def rule_book_names():
    books = [import_module(f"chainrule.{book}") for book in RULE_BOOK if book in MODULES]
    return {name for book in books for name in book.__all__}


def decisions_by_name(text, names, *, tables=True):
    """Return the lines that compare with one of `names`, or key a table by two of them."""
    lines = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            compared = [leaf for side in sides for leaf in elements(side)]
            found = any(is_one_of(leaf, names) for leaf in compared)
        elif isinstance(node, ast.MatchValue):
            found = is_one_of(node.value, names)
        elif isinstance(node, ast.Dict) and tables:
            found = sum(is_one_of(key, names) for key in node.keys) >= 2
        else:
            continue
        if found:
            lines.append(node.lineno)
    return lines


def elements(node):
    return node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]


def is_one_of(node, names):
    return isinstance(node, ast.Constant) and node.value in names


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_decided_by_the_name_of_a_record(module):
    elsewhere = module not in RULE_BOOK  # which is itself the one table
    lines = decisions_by_name(MODULES[module], rule_book_names(), tables=elsewhere)

    assert not lines, f"{module}, lines {lines}: ask the record, not its name"


@pytest.mark.parametrize(
    "text",
    [
        'if name == "relu": pass',
        'if "relu" != name: pass',
        'if name in ("elu", "relu"): pass',
        'match name:\n    case "relu": pass',
        'table = {"relu": 1, "elu": 2}',
    ],
)
def test_a_decision_by_name_is_found(text):
    assert decisions_by_name(text, {"relu", "elu"})


# A slash, a directory that only one machine has, a slash; not in the middle of an address.
MACHINE_PATH = re.compile(r"(?<![\w.-])/(?:home|Users|root|tmp|work|mnt)/|[A-Z]:\\Users", re.ASCII)


def tracked_files():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_file_names_a_place_on_one_machine():
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # a picture; deleted and not committed yet
            continue
        found += [f"{path.relative_to(ROOT)}: {hit[0]}" for hit in MACHINE_PATH.finditer(text)]

    assert not found


@pytest.mark.parametrize("before", ["", '"', "(", "path="])
def test_a_machine_path_is_found(before):
    path = "/".join(["", "home", "me"])

    assert MACHINE_PATH.search(before + path)
    assert not MACHINE_PATH.search("https://example.org" + path)


def test_no_module_is_exempt_from_types_but_what_is_compiled():
    """Numba infers the types of what it compiles."""
    mypy = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
    exempt = [name for section in mypy["overrides"] for name in section["module"]]

    own = [name.removeprefix("chainrule.") for name in exempt if name.startswith("chainrule")]
    assert not [name for name in own if "numba" not in MODULES[name] and "engine.compiled" not in MODULES[name]]
    assert not [module for module, text in MODULES.items() if "# mypy:" in text]


def test_tests_say_by_marker_what_they_need():
    """`importorskip` would skip in silence where `scripts/check --all` must fail."""
    here = Path(__file__)
    others = [path for path in here.parent.rglob("test_*.py") if path != here]

    assert not [path.name for path in others if "importorskip" in path.read_text("utf-8")]
