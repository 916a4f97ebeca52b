"""The languages that programs are written in, one record each. To add one is to add a record."""

from __future__ import annotations

import keyword

from chainrule.asked import check_word
from chainrule.program import c_frame, in_place_frame, octave_frame, python_frame
from chainrule.program.arrays import assignments
from chainrule.program.c_loops import loops
from chainrule.program.in_place import operations
from chainrule.program.language import Language
from chainrule.program.loops import separated
from chainrule.program.nested_lists import comprehensions

PYTHON = frozenset(keyword.kwlist)
C = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while sum found
    exp log log1p expm1 sin cos erf erfc sqrt fabs tanh pow fmax fmin malloc free memcpy rand printf main""".split()  # noqa: SIM905
)
OCTAVE = frozenset(
    """if else elseif end for while do until function return break continue switch case otherwise try catch global
    persistent exp log log1p expm1 sin cos erf erfc sqrt abs sign tanh max min sum cumsum ones size""".split()  # noqa: SIM905
)

NUMPY = Language(
    name="numpy",
    called="np.{0}({1})",
    write=assignments,
    step=python_frame.step,
    program=python_frame.program,
    row_sums="{0}.sum(axis=1, keepdims=True)",
    column_sums="{0}.sum(axis=0, keepdims=True)",
    total="{0}.sum()",
    full="np.full(({rows}, {columns}), {0})",
    zeros="np.zeros(({rows}, {columns}))",
    hstack="np.hstack([{0}])",
    vstack="np.vstack([{0}])",
    constants={"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"},
    booleans=True,
    reserved=PYTHON | {"np", "scipy"},
    imports="import numpy as np",
    others={"scipy.": "import scipy.special"},
    generator="rng",
    seed="rng = np.random.default_rng(0)",
    normal="rng.normal(0, {std}, ({rows}, {columns}))",
    mask="(rng.random(({rows}, {columns})) < {keep}) / {keep}",
)
NUMPY_IN_PLACE = Language(
    name="numpy-inplace",
    called="np.{0}({1}, out={{out}})",
    plain=NUMPY,
    replace="{old}[...] = {new}",
    write=operations,
    step=in_place_frame.step,
    program=in_place_frame.program,
    flat=in_place_frame.flat,
    total="{0}.sum()",
    full="np.full(({rows}, {columns}), {0})",
    zeros="np.zeros(({rows}, {columns}))",
    hstack="np.concatenate([{0}], axis=1, out={out})",
    vstack="np.concatenate([{0}], axis=0, out={out})",
    constants=NUMPY.constants,
    annotated=True,
    reserved=NUMPY.reserved,
    imports=NUMPY.imports,
    others=NUMPY.others,
    generator="rng",
    normal=NUMPY.normal,
)
ARRAY_API = Language(
    name="array-api",
    called="xp.{0}({1})",
    write=assignments,
    step=python_frame.step,
    program=python_frame.program,
    row_sums="xp.sum({0}, axis=1, keepdims=True)",
    column_sums="xp.sum({0}, axis=0, keepdims=True)",
    total="xp.sum({0})",
    full="xp.broadcast_to(xp.asarray({0}), ({rows}, {columns}))",
    zeros="xp.zeros(({rows}, {columns}))",
    hstack="xp.concat([{0}], axis=1)",
    vstack="xp.concat([{0}], axis=0)",
    constants={"inf": "xp.inf", "-inf": "-xp.inf", "nan": "xp.nan"},
    reserved=PYTHON | {"xp", "np", "scipy"},
    imports="import numpy as np",
    others=NUMPY.others,
    module="xp",
    generator="rng",
    seed="xp = np  # or array_api_compat.torch, jax.numpy, cupy, ...\n" + NUMPY.seed,
    normal="xp.asarray(rng.normal(0, {std}, ({rows}, {columns})))",
    mask="xp.asarray((rng.random(({rows}, {columns})) < {keep}) / {keep})",
)
TORCH = Language(
    name="torch",
    called="torch.{0}({1})",
    write=assignments,
    step=python_frame.step,
    program=python_frame.program,
    row_sums="{0}.sum(dim=1, keepdim=True)",
    column_sums="{0}.sum(dim=0, keepdim=True)",
    total="{0}.sum()",
    full="{0} * torch.ones({rows}, {columns})",
    zeros="torch.zeros({rows}, {columns})",
    hstack="torch.hstack([{0}])",
    vstack="torch.vstack([{0}])",
    constants={"inf": "torch.inf", "-inf": "-torch.inf", "nan": "torch.nan"},
    booleans=True,
    reserved=PYTHON | {"torch"},
    imports="import torch",
    seed="torch.set_default_dtype(torch.float64)\ntorch.manual_seed(0)",
    normal="torch.normal(0.0, {std}, ({rows}, {columns}))",
    standard="torch.randn({rows}, {columns})",
    mask="(torch.rand({rows}, {columns}) < {keep}) / {keep}",
)
JAX = Language(
    name="jax",
    called="jnp.{0}({1})",
    write=assignments,
    step=python_frame.step,
    program=python_frame.program,
    row_sums=NUMPY.row_sums,
    column_sums=NUMPY.column_sums,
    total=NUMPY.total,
    full="jnp.full(({rows}, {columns}), {0})",
    zeros="jnp.zeros(({rows}, {columns}))",
    hstack="jnp.hstack([{0}])",
    vstack="jnp.vstack([{0}])",
    constants={"inf": "jnp.inf", "-inf": "-jnp.inf", "nan": "jnp.nan"},
    booleans=True,
    reserved=PYTHON | {"jax", "jnp", "np"},
    imports="import jax\nimport jax.numpy as jnp\nimport numpy as np",
    others={"jax.scipy.": "import jax.scipy.special"},
    decorator="@jax.jit",
    generator="rng",
    seed='jax.config.update("jax_enable_x64", True)\n' + NUMPY.seed,
    normal="jnp.asarray(rng.normal(0, {std}, ({rows}, {columns})))",
    mask="jnp.asarray((rng.random(({rows}, {columns})) < {keep}) / {keep})",
)
OCTAVE_ARRAYS = Language(
    name="octave",
    called="{0}({1})",
    write=assignments,
    step=octave_frame.step,
    program=octave_frame.program,
    transpose="{0}'",
    matmul="{0} * {1}",
    hadamard="{0} .* {1}",
    divide="{0} ./ {1}",
    row_sums="sum({0}, 2)",
    column_sums="sum({0}, 1)",
    total="sum(sum({0}))",
    full="{0} .* ones({rows}, {columns})",
    zeros="zeros({rows}, {columns})",
    single="{0}",
    hstack="[{0}]",
    vstack="[{0}]",
    below="; ",
    block="{0}({rows}, {columns})",
    range="{start}:{stop}",
    constants={"inf": "Inf", "-inf": "-Inf", "nan": "NaN"},
    reserved=OCTAVE,
    ascii=True,
    comment=("% ", ""),
    end=";",
    continued=" ...",
    seed='rand("seed", 0);\nrandn("seed", 0);',
    normal="{std} * randn({rows}, {columns})",
    standard="randn({rows}, {columns})",
    mask="(rand({rows}, {columns}) < {keep}) / {keep}",
)
LISTS = Language(
    name="python",
    called="math.{0}({1})",
    replace_number="{old} = [[{new}]]",
    prepare=separated,
    write=comprehensions,
    step=python_frame.step,
    program=python_frame.program,
    total="sum({there} {loops})",
    full="[[{0}] * {columns} for _ in range({rows})]",
    zeros="[[0.0] * {columns} for _ in range({rows})]",
    row="[[{0}] * {columns}]",
    single="[[{0}]]",
    choice="({yes} if {if_} else {no})",
    constants={"inf": "math.inf", "-inf": "-math.inf", "nan": "math.nan"},
    annotated=True,
    reserved=PYTHON | {"math", "random", "range", "sum", "max", "min", "abs", "all"},
    imports="import math\nimport random",
    seed="random.seed(0)",
    size="len({matrix}{row})",
    normal="[[random.gauss(0, {std}) for j in range({columns})] for i in range({rows})]",
    mask="[[(random.random() < {keep}) / {keep} for j in range({columns})] for i in range({rows})]",
)
C99 = Language(
    name="c",
    called="{0}({1})",
    replace="memcpy({old}, {new}, sizeof(double[{rows}][{columns}]))",
    replace_number="{old}[0][0] = {new}",
    prepare=separated,
    write=loops,
    step=c_frame.step,
    program=c_frame.program,
    total="0.0; {acc} += {there}",
    choice="({if_} ? {yes} : {no})",
    constants={"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"},
    decimals=True,
    annotated=True,
    reserved=C,
    ascii=True,
    comment=("/* ", " */"),
    end=";",
    continued="",
    imports="#include <math.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>",
)

LANGUAGES: dict[str, Language] = {
    to.name: to for to in (NUMPY, NUMPY_IN_PLACE, ARRAY_API, OCTAVE_ARRAYS, TORCH, JAX, LISTS, C99)
}


def find_language(name: str) -> Language:
    """A language by name."""
    check_word("unknown language", name, LANGUAGES)
    return LANGUAGES[name]
