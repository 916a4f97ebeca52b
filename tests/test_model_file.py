"""The container of a model: exact there and back, and a sentence for every bad file."""

import errno
import json
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st
from safetensors.numpy import save

from chainrule import model_file
from chainrule.errors import DataError
from chainrule.model_file import read_model, write_model

CONFIG = {"net": "2 -> 3", "rate": 0.1 + 0.2, "classes": ["a", "é"], "none": None, "yes": True}
W = np.arange(6.0).reshape(2, 3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


@pytest.fixture
def written(path):
    write_model(path, CONFIG, {"W1": W, "b1": np.zeros((1, 3))})
    return path


def there_and_back(path, array):
    write_model(path, {}, {"W1": array})
    return read_model(path)[1]["W1"]


def same(left, right):
    return left.shape == right.shape and left.dtype == right.dtype and np.array_equal(left, right, equal_nan=True)


# There and back


def test_the_configuration_and_the_arrays_come_back(written):
    config, arrays = read_model(written)

    assert config == CONFIG
    assert list(arrays) == ["W1", "b1"]
    assert same(arrays["W1"], W)


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(W),
        W.T,
        W[:, ::2],
        W[::-1],
        np.broadcast_to(W[0], (4, 3)),
        W.reshape(1, 2, 3).transpose(2, 0, 1),
    ],
    ids=["fortran", "transposed", "strided", "reversed", "broadcast", "permuted"],
)
def test_an_array_in_another_memory_order_comes_back(path, array):
    again = there_and_back(path, array)

    assert same(again, array)
    assert again.flags.c_contiguous


@pytest.mark.parametrize("array", [np.float64(3), np.array(3), np.zeros((0, 3)), W.astype(">f8"), W > 2])
def test_an_unusual_array_comes_back(path, array):
    again = there_and_back(path, array)

    assert same(again, np.asarray(array).astype(again.dtype))
    assert again.dtype == array.dtype.newbyteorder("=")


@given(numpy_st.arrays(st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u2", "?"]), numpy_st.array_shapes(min_dims=0)))
def test_every_array_comes_back_to_the_last_bit(tmp_path_factory, array):
    again = there_and_back(tmp_path_factory.mktemp("model") / "m.safetensors", array)

    assert again.tobytes() == array.tobytes()
    assert same(again, array)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values))
def test_every_configuration_comes_back_exactly(tmp_path_factory, config):
    path = tmp_path_factory.mktemp("model") / "m.safetensors"

    write_model(path, config, {})

    assert read_model(path) == (config, {})


def test_an_array_that_was_read_can_be_changed_and_written_over(written):
    config, arrays = read_model(written)
    arrays["W1"] += 1

    write_model(written, config, arrays)

    assert same(read_model(written)[1]["W1"], W + 1)


# What cannot be written


@pytest.mark.parametrize("array", [np.array([None]), np.array(["a"]), np.zeros(2, complex), np.zeros(2, "M8[D]")])
def test_an_array_of_another_kind_is_refused(path, array):
    with pytest.raises(DataError, match=rf"^array 'W1' has type {array.dtype.str[1]}?.*, which a model file does not"):
        write_model(path, {}, {"W1": array})

    assert not path.exists()


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_a_configuration_that_is_not_json_is_refused(path, value):
    with pytest.raises((ValueError, TypeError), match="JSON"):
        write_model(path, {"x": value}, {})

    assert not path.exists()


def test_a_full_disk_leaves_the_earlier_model(written, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(DataError, match=r"^cannot write '.*m\.safetensors': the disk is full$"):
        write_model(written, {}, {"W1": np.ones(1000)})

    assert read_model(written)[0] == CONFIG
    assert os.listdir(written.parent) == [written.name]


# What cannot be read


def test_every_flipped_bit_is_found(written):
    content = written.read_bytes()

    for at in range(8, len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1
        written.write_bytes(damaged)
        with pytest.raises(DataError, match=r"m\.safetensors' (is|was) "):
            read_model(written)


def test_a_flipped_bit_in_a_weight_is_explained(written):
    content = bytearray(written.read_bytes())
    content[-1] ^= 1
    written.write_bytes(content)

    with pytest.raises(DataError, match=r"' is damaged: its checksum does not agree with its content$"):
        read_model(written)


@pytest.mark.parametrize("length", [0, 4, 8, 100, -1])
def test_a_cut_file_is_explained(written, length):
    written.write_bytes(written.read_bytes()[:length])

    with pytest.raises(DataError, match=r"^'.*m\.safetensors' is not a model file, or it is damaged$"):
        read_model(written)


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n" * 9, pickle.dumps({"W1": W}), b"PK\x03\x04" + bytes(99), b"\x02\0\0\0\0\0\0\0[]"]
)
def test_another_kind_of_file_is_explained(path, content):
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"^'.*m\.safetensors' is not a model file, or it is damaged$"):
        read_model(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}], ids=["none", "of PyTorch"])
def test_a_file_of_another_program_is_explained(path, metadata):
    path.write_bytes(save({"W1": W}, metadata))

    with pytest.raises(DataError, match=r"' is a safetensors file, but not one that chainrule wrote$"):
        read_model(path)


def test_a_newer_format_is_explained(written, monkeypatch):
    monkeypatch.setattr(model_file, "FORMAT", 2)
    write_model(written, {}, {})
    monkeypatch.undo()

    with pytest.raises(
        DataError,
        match=r"' was written by a newer chainrule, in format 2, and this one reads format 1; pip install --upgrade",
    ):
        read_model(written)


@pytest.mark.parametrize(
    "described",
    [
        *("", "{", "[" * 100_000, "[]", "3", "{}", '{"format": 1}', '{"format": 1, "config": []}'),
        *('{"format": 0, "config": {}}', '{"format": "1", "config": {}}', '{"format": null, "config": {}}'),
    ],
    ids=range(11),
)
def test_a_damaged_configuration_is_explained(path, described):
    path.write_bytes(save({"W1": W}, {"chainrule": described}))

    with pytest.raises(DataError, match=r"^'.*m\.safetensors' is damaged: its configuration is unreadable$"):
        read_model(path)


def test_a_file_without_its_checksum_is_damaged(path):
    path.write_bytes(save({"W1": W}, {"chainrule": json.dumps({"format": 1, "config": {}})}))

    with pytest.raises(DataError, match="is damaged: its checksum does not agree"):
        read_model(path)


def test_a_missing_file_is_explained(path):
    with pytest.raises(DataError, match=r"^there is no model file '.*m\.safetensors'$"):
        read_model(path)


def test_a_directory_is_explained(tmp_path):
    with pytest.raises(DataError, match=r"' is a directory; name a model file$"):
        read_model(tmp_path)


def test_what_the_system_refuses_is_explained(written, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("safetensors.safe_open", refuse)

    with pytest.raises(DataError, match=r"^cannot read '.*m\.safetensors': Permission denied$"):
        read_model(written)
