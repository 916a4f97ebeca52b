"""Printed text executed in its own language, given values; what it defines, as arrays."""

import subprocess
import sys

import numpy as np
import scipy


def run_part(language, text, values, shapes):
    """What bare assignments define: an array for each name in `shapes`."""
    return PARTS_IN.get(language, _in_numpy)(text, values, shapes)


def _executed(text, namespace):
    exec(compile(text, "<printed>", "exec"), namespace)
    return namespace


def _matrices(values, there):
    return {k: there(v) if np.ndim(v) == 2 else v for k, v in values.items()}


def _in_numpy(text, values, shapes):
    return _executed(text, {"np": np, "xp": np, "scipy": scipy, **_matrices(values, np.copy)})


def _in_torch(text, values, shapes):
    import torch

    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # of constants
    try:
        found = _executed(text, {"torch": torch, **_matrices(values, torch.tensor)})
    finally:
        torch.set_default_dtype(default)
    return {name: np.asarray(found[name]) for name in shapes}


def _in_jax(text, values, shapes):
    import jax

    with jax.enable_x64(True):
        names = {"jax": jax, "jnp": jax.numpy, "np": np}
        found = _executed(f"import jax.scipy.special\n{text}", names | _matrices(values, jax.numpy.asarray))
        return {name: np.asarray(found[name]) for name in shapes}


def _in_lists(text, values, shapes):
    import math

    return _executed(text, {"math": math, **_matrices(values, np.ndarray.tolist)})


def _in_octave(text, values, shapes):
    from benchmarks.languages import octave_matrix, run_octave

    given = [f"{k} = {octave_matrix(v) if np.ndim(v) == 2 else repr(v)};" for k, v in values.items()]
    printed = [f'printf("%.17g ", {name}\'); printf("\\n");' for name in shapes]
    return _parsed(run_octave("\n".join([*given, text, *printed])), shapes)


def _in_c(text, values, shapes):
    from benchmarks.languages import c_matrix, run_c

    given = []
    for name, value in values.items():
        kind = "int" if isinstance(value, int) else "double"
        given.append(c_matrix(name, value) if np.ndim(value) == 2 else f"{kind} {name} = {value!r}; (void){name};")
    printed = []
    for name, (rows, columns) in shapes.items():
        number = (rows, columns) == (1, 1) and name not in values
        first = f"&{name}" if number else f"&{name}[0][0]"
        printed += [f'for (int i = 0; i < {rows * columns}; i++) printf("%.17g ", ({first})[i]);', 'puts("");']
    includes = "\n".join(f"#include <{name}.h>" for name in ("math", "stdio", "stdlib", "string"))
    return _parsed(
        run_c("\n".join([includes, "int main(void)", "{", *given, text, *printed, "return 0;", "}\n"])), shapes
    )


def _parsed(text, shapes):
    lines = text.splitlines()
    return {
        name: np.array(line.split(), float).reshape(shape)
        for line, (name, shape) in zip(lines, shapes.items(), strict=True)
    }


PARTS_IN = {"torch": _in_torch, "jax": _in_jax, "python": _in_lists, "octave": _in_octave, "c": _in_c}


def run_program(language, text, folder):
    """What a whole program prints."""
    from benchmarks.languages import run_c, run_octave

    if language == "octave":
        return run_octave(text)
    if language == "c":
        return run_c(text)
    path = folder / "program.py"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout
