"""The container of a model: arrays and a JSON configuration in one safetensors file.

Reading it runs no code. What the configuration means is not known here.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.atomic import atomic_write
from chainrule.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["FORMAT", "read_model", "write_model"]

FORMAT = 1  # raised when an older chainrule could misread a newer file

_KEY = "chainrule"
_CHECKSUM = "chainrule.crc32"
_DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)


def write_model(path: str | Path, config: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a model file: whole or not at all.

    Parameters
    ----------
    path : str or Path
        The file; an earlier one is replaced.
    config : dict
        JSON-able data with finite numbers. Floats are kept exactly; a tuple comes back as a list.
    arrays : dict of str to ndarray
        Numbers or booleans, in any memory order.

    Raises
    ------
    DataError
        If the disk is full, the directory is missing, an array holds Python objects, ...

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_model(Path(folder) / "m.safetensors", {"net": "2 -> 1"}, {"W1": np.ones((2, 1))})
    ...     read_model(Path(folder) / "m.safetensors")
    ({'net': '2 -> 1'}, {'W1': array([[1.],
           [1.]])})
    """
    from safetensors.numpy import save

    ready = {name: _plain(name, array) for name, array in arrays.items()}
    described = json.dumps({"format": FORMAT, "config": config}, allow_nan=False)
    metadata = {_KEY: described, _CHECKSUM: _checksum(described, ready)}
    with atomic_write(path) as file:
        file.write(save(ready, metadata))


def read_model(path: str | Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read a model file.

    Parameters
    ----------
    path : str or Path
        A file that `write_model` wrote.

    Returns
    -------
    config : dict
        The configuration.
    arrays : dict of str to ndarray
        The arrays, in C order.

    Raises
    ------
    DataError
        For a file that is missing, damaged, not of chainrule, or of a newer chainrule.
    """
    from safetensors import SafetensorError, safe_open

    if Path(path).is_dir():
        raise DataError(f"{str(path)!r} is a directory; name a model file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if _KEY not in metadata:
                raise DataError(f"{str(path)!r} is a safetensors file, but not one that chainrule wrote")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise DataError(f"there is no model file {str(path)!r}") from error
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise DataError(f"{str(path)!r} is not a model file, or it is damaged") from error
    return _config(path, metadata, arrays), arrays


def _plain(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The array in C order and in the machine's byte order.

    safetensors 0.8.0 writes the memory of an array as it lies, so that another order is garbage.
    """
    array = np.asarray(array)
    if array.dtype.name not in _DTYPES:
        raise DataError(f"array {name!r} has type {array.dtype}, which a model file does not keep")
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return plain.reshape(array.shape)  # np.ascontiguousarray makes a single number 1-dimensional


def _checksum(described: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """The CRC-32 of everything that is kept, so that a flipped bit in a weight is found."""
    crc = zlib.crc32(described.encode())
    for name in sorted(arrays):
        array = arrays[name]
        crc = zlib.crc32(f"{name} {array.dtype.name} {array.shape}".encode(), crc)
        crc = zlib.crc32(array.tobytes(), crc)
    return f"{crc:08x}"


def _config(path: str | Path, metadata: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The configuration, if the file is whole and its format is known."""
    described = metadata[_KEY]
    try:
        content = json.loads(described)
        version, config = content["format"], content["config"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise DataError(f"{str(path)!r} is damaged: its configuration is unreadable") from error
    if type(version) is int and version > FORMAT:
        raise DataError(
            f"{str(path)!r} was written by a newer chainrule, in format {version}, and this one "
            f"reads format {FORMAT}; pip install --upgrade chainrule"
        )
    if version != FORMAT or not isinstance(config, dict):
        raise DataError(f"{str(path)!r} is damaged: its configuration is unreadable")
    if metadata.get(_CHECKSUM) != _checksum(described, arrays):
        raise DataError(f"{str(path)!r} is damaged: its checksum does not agree with its content")
    return config
