"""Where compiled kernels are kept: in a folder that may be damaged, or not writable, or nowhere."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from numba import config, njit

from chainrule.engine.compiled import OPTIONS, kept

FIT = """
import numpy as np
from chainrule import MLPRegressor
X = np.arange(12.0).reshape(6, 2)
print(MLPRegressor((3,), max_iter=1, tol=0, random_state=0).fit(X, X[:, 0]).loss_)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def compiled():
    """A function compiled for a float: its result at 2, and whether it came from disk."""

    def twice(x):
        return 2 * x

    dispatcher = kept(njit(**OPTIONS)(twice))
    value = dispatcher(2.0)
    return value, sum(dispatcher.stats.cache_hits.values()) == 1


def test_what_was_compiled_is_read_again(folder):
    assert [compiled(), compiled()] == [(4.0, False), (4.0, True)]


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("left", [0, 20])
def test_a_damaged_file_is_replaced(ending, left, folder):
    compiled()
    (file,) = folder.rglob(f"*.{ending}")
    file.write_bytes(file.read_bytes()[:left])

    assert [compiled(), compiled()] == [(4.0, False), (4.0, True)]


def test_a_folder_that_cannot_be_written_to_costs_a_warning(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "file"))

    with pytest.warns(UserWarning, match=r"cannot be kept in .*file.*set NUMBA_CACHE_DIR") as seen:
        assert [compiled(), compiled()] == [(4.0, False), (4.0, False)]
    assert len(seen) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="whoever may do anything can write")
def test_a_folder_that_can_only_be_read_serves_what_is_in_it(folder):
    compiled()
    for each in [*folder.rglob("*"), folder]:
        each.chmod(0o500 if each.is_dir() else 0o400)

    with warnings.catch_warnings(action="error"):
        assert compiled() == (4.0, True)
    for each in [folder, *folder.iterdir()]:
        each.chmod(0o700)


def test_without_compilation_the_numpy_program_trains():
    done = subprocess.run(
        [sys.executable, "-c", FIT],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(map(str, map(Path, sys.path)))},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0
    assert done.stderr.count("NUMBA_DISABLE_JIT is set") == 1
    assert float(done.stdout) > 0
