"""Reading tables: what is found in good files, and the sentence for each bad one."""

import gzip
import re
from datetime import date, datetime, time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from sklearn import datasets

from chainrule.errors import DataError
from chainrule.tables import BUILT_IN, read_table

NAN = float("nan")


@pytest.fixture
def csv(tmp_path):
    """Return a function that writes text or bytes to a CSV file and reads the table."""

    def read(content, *, name="t.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, **options)

    return read


@pytest.fixture
def npz(tmp_path):
    """Return a function that writes arrays to an `.npz` file and reads the table."""

    def read(**arrays):
        np.savez(tmp_path / "t.npz", **arrays)
        return read_table(tmp_path / "t.npz")

    return read


def write_parquet(path, **columns):
    parquet.write_table(pa.table(columns), path)
    return path


def cells(table):
    """The columns as lists, NaN and None as None."""
    return {
        name: [None if cell is None or cell != cell else cell for cell in column.tolist()]
        for name, column in zip(table.names, table.columns, strict=True)
    }


# CSV: values


def test_numbers_are_floats_and_the_rest_is_text(csv):
    table = csv("age,city\n31,Rome\n40.5,Oslo\n")

    assert cells(table) == {"age": [31.0, 40.5], "city": ["Rome", "Oslo"]}
    assert [column.dtype for column in table.columns] == [np.float64, object]
    assert table.named
    assert table.rows == 2


def test_missing_cells_are_missing_in_numbers_and_in_text(csv):
    table = csv('n,t\n1,a\n ?,NA\n,""\nNaN, \n2,b\n')

    assert cells(table) == {"n": [1, None, None, None, 2], "t": ["a", None, None, None, "b"]}


def test_space_around_names_and_texts_is_left_out(csv):
    table = csv("age, city \n39, Rome\n 40 ,Oslo \n")

    assert cells(table) == {"age": [39, 40], "city": ["Rome", "Oslo"]}


def test_booleans_are_0_and_1(csv):
    assert cells(csv("b\ntrue\nFalse\n\n")) == {"b": [1, 0]}


def test_dates_are_days_since_1970(csv):
    table = csv("day,moment,clock\n1970-01-03,1970-01-02T12:00,06:00\n1969-12-31,1970-01-01T00:00,18:00\n")

    assert cells(table) == {"day": [2, -1], "moment": [1.5, 0], "clock": [0.25, 0.75]}


def test_a_quoted_cell_may_hold_separators_and_line_ends(csv):
    table = csv('a,b\n"x, y\nz",1\n"it ""is""",2\n')

    assert cells(table) == {"a": ["x, y\nz", 'it "is"'], "b": [1, 2]}


def test_a_line_end_in_a_cell_may_be_where_a_block_of_the_file_ends(csv, monkeypatch):
    monkeypatch.setattr("chainrule.tables.delimited._BLOCK", 1000)

    table = csv("a,b\n" + '"x\ny",1\n' * 1000)

    assert set(table.column("a")) == {"x\ny"}
    assert table.rows == 1000


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_separator_is_found(csv, separator, end):
    rows = [["a", "b", "c"], ["1", "x", "3"], ["4", "y", "6"]]

    table = csv(end.join(separator.join(row) for row in rows))

    assert cells(table) == {"a": [1, 4], "b": ["x", "y"], "c": [3, 6]}


def test_a_byte_order_mark_is_no_part_of_the_first_name(csv):
    assert csv(b"\xef\xbb\xbfa,b\n1,2\n").names == ("a", "b")


def test_a_column_can_be_kept_as_text(csv):
    table = csv("zip,n\n00123,1\n45678,2\n", text=["zip", "absent"])

    assert cells(table) == {"zip": ["00123", "45678"], "n": [1, 2]}


def test_types_are_inferred_over_the_whole_file(csv):
    rows = 300_000

    table = csv("a,b\n" + "1,2\n" * rows + "x,2.5\n")

    assert table.column("a")[[0, rows]].tolist() == ["1", "x"]
    assert table.column("b")[[0, rows]].tolist() == [2.0, 2.5]


def test_rows_of_megabytes_are_read(csv):
    names = [f"{at}{'x' * 5000}" for at in range(1000)]

    table = csv("\n".join(",".join(row) for row in (names, names, names)))

    assert table.names == tuple(names)
    assert table.rows == 2


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_are_read_to_the_last_bit(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_text("x\n" + "\n".join(map(repr, numbers)))

    assert read_table(path).column("x").tolist() == numbers


# CSV: the header


@pytest.mark.parametrize(
    "content",
    [
        "1,2\n3,4\n",
        "1,\n3,4\n",
        "5.1,setosa\n4.9,setosa\n7.0,other\n",
        "39, State-gov\n50, Private\n38, State-gov\n",
        "1e3,-inf\n2,3",
    ],
)
def test_a_first_row_of_data_is_no_header(csv, content):
    table = csv(content)

    assert table.names == ("column1", "column2")
    assert not table.named
    assert table.rows == len(content.splitlines())


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("a,b\n1,2\n", ("a", "b")),
        ("country,2019,2020\nItaly,1,2\n", ("country", "2019", "2020")),
        (",b\n0,2\n1,3\n", ("column1", "b")),
        ("0,1,2\n0.5,0.25,1\n", ("0", "1", "2")),
        ("name\nx\nname\n", ("name",)),
        ("\n\na,b\n1,2\n", ("a", "b")),
    ],
)
def test_a_header_gives_the_names(csv, content, names):
    table = csv(content)

    assert table.names == names
    assert table.named


def test_the_header_can_be_declared(csv):
    assert csv("1,2\n3,4\n", header=True).names == ("1", "2")
    assert csv("x,y\n3,4\n", header=False).rows == 2


def test_the_first_rows_decide_though_the_last_of_them_is_cut(csv):
    line = "5.1,setosa,some longer text to fill the first part of the file\n"

    assert not csv(line * 10_000).named


# CSV: what cannot be read


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"'.*t\.csv' is empty$"),
        (b"  \n \n", "is empty$"),
        (b"a,b\n", r"t\.csv' has a header and no rows; if its only row is data, say so: --no-header, or header=False$"),
        (b"a,b", "has a header and no rows"),
        (b"a,b\n1,2\n3\n", r"t\.csv' has 1 cells in row 2 and 2 in its first: '3'; correct its separators"),
        (b"a,b\n1,2\n\n3,4,5\n", "has 3 cells in row 2 and 2 in its first: '3,4,5'"),
        (b"1,2\n3\n", "has 1 cells in row 2 and 2 in its first"),
        (b'a,b\n"x,2\n4,5\n', "has 1 cells in row 1 and 2 in its first: '\"x,2"),
        (b"a,b,a\n1,2,3\n", r"has the column 'a' twice in its header, as columns 1 and 3; rename one$"),
        (b"a,b\n1,caf\xe9\n", r"is not UTF-8, by byte 0xe9 in line 2; save it as UTF-8$"),
        (b"a,\xe9\n1,2\n", "byte 0xe9 in line 1"),
        ("a,b\n1,2\n".encode("utf-16"), "it is text in UTF-16$"),
        (b"PAR1" + bytes(20), "it is a Parquet file$"),
        (b"PK\x03\x04" + bytes(20), "it is a ZIP archive$"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "it is a gzip archive$"),
        (b"a,b\n\0\0\0\0", "it is binary data$"),
    ],
)
def test_a_bad_csv_file_is_explained(csv, content, message):
    with pytest.raises(DataError, match=message):
        csv(content)


def test_text_in_another_encoding_is_found_far_below(csv):
    with pytest.raises(DataError, match="byte 0xe9 in line 9002"):
        csv(b"a,b\n" + b"1,x\n" * 9000 + b"1,caf\xe9\n")


def test_text_in_another_encoding_is_explained_in_a_column_kept_as_text(csv):
    with pytest.raises(DataError, match="byte 0xe9 in line 2"):
        csv(b"a,b\n1,caf\xe9\n", text=["b"])


def test_bytes_that_are_not_utf8_are_found_behind_the_first_part_of_the_header(csv):
    header = ",".join(f"name{at}" for at in range(2000)).encode()

    with pytest.raises(DataError, match="byte 0xe9 in line 1"):
        csv(header + b",caf\xe9\n" + b"1," * 2000 + b"1\n")


def test_a_character_cut_by_the_first_part_of_the_file_is_no_error(csv):
    for shift in range(4):
        assert csv("x" * shift + "a\n" + "ü€\n" * 2000).rows == 2000


@pytest.mark.parametrize("cell", ["n.a.", "1,5", "12 km"])
def test_a_text_among_many_numbers_is_a_mistake_not_a_category(csv, cell):
    content = "age\n" + "\n".join(str(at) for at in range(200)) + f'\n"{cell}"\n'

    with pytest.raises(DataError, match=rf"column 'age' of .* holds '{cell}' in row 201, where most cells are numbers"):
        csv(content)
    assert csv(content, text=["age"]).rows == 201


def test_decimal_commas_are_explained(csv):
    content = "x;y\n" + "\n".join(f"{at},5;1" for at in range(200))

    with pytest.raises(DataError, match=r"holds '0,5' in row 1, .* write decimals with a point$"):
        csv(content)


def test_few_texts_among_numbers_are_categories(csv):
    assert cells(csv("n\n0\n1\n3+\n"))["n"] == ["0", "1", "3+"]


# Parquet


def test_parquet_columns_keep_their_meaning(tmp_path):
    path = write_parquet(
        tmp_path / "t.parquet",
        whole=pa.array([1, None], pa.int32()),
        real=pa.array([0.1, NAN]),
        small=pa.array([0.5, None], pa.float32()),
        truth=pa.array([True, None]),
        money=pa.array([1, None], pa.decimal128(5, 2)),
        text=[" a ", None],
        question=["?", "b"],
        category=pa.array(["x", None]).dictionary_encode(),
        nothing=pa.nulls(2),
        day=pa.array([date(1970, 1, 3), None]),
        moment=pa.array([datetime(1970, 1, 2, 12), None]),
        zone=pa.array([43_200, None], pa.timestamp("s", "Europe/Rome")),
        clock=pa.array([time(6), None]),
        span=pa.array([36, None], pa.duration("s")),
        large=pa.array(["y", None], pa.large_string()),
    )

    assert cells(read_table(path)) == {
        "whole": [1, None],
        "real": [0.1, None],
        "small": [0.5, None],
        "truth": [1, None],
        "money": [1, None],
        "text": ["a", None],
        "question": [None, "b"],
        "category": ["x", None],
        "nothing": [None, None],
        "day": [2, None],
        "moment": [1.5, None],
        "zone": [0.5, None],
        "clock": [0.25, None],
        "span": [36 / 86_400, None],
        "large": ["y", None],
    }


def test_the_directory_of_a_parquet_file_adds_no_column(tmp_path):
    (tmp_path / "year=2020").mkdir()
    path = write_parquet(tmp_path / "year=2020" / "t.parquet", a=[1])

    assert read_table(path).names == ("a",)


def test_the_index_that_pandas_stores_is_no_column(tmp_path):
    path = write_parquet(tmp_path / "t.parquet", a=[1], __index_level_0__=[7])

    assert read_table(path).names == ("a",)


def test_an_unusable_parquet_column_is_explained(tmp_path):
    path = write_parquet(tmp_path / "t.parquet", a=[1], tags=[["x", "y"]])

    with pytest.raises(DataError, match=r"column 'tags' of '.*t\.parquet' has type list<.*>, and only numbers"):
        read_table(path)


def test_two_parquet_columns_of_one_name_are_explained(tmp_path):
    columns = pa.table([[1], [2]], names=["a", "a"])
    parquet.write_table(columns, tmp_path / "t.parquet")

    with pytest.raises(DataError, match=r"t\.parquet' has 2 columns called 'a'; rename them$"):
        read_table(tmp_path / "t.parquet")


def test_a_damaged_parquet_file_is_explained(tmp_path):
    path = write_parquet(tmp_path / "t.parquet", a=list(range(100)))
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(DataError, match=r"t\.parquet' is a damaged Parquet file; make it again$"):
        read_table(path)


def test_a_parquet_file_without_rows_is_explained(tmp_path):
    path = write_parquet(tmp_path / "t.parquet", a=pa.array([], pa.int64()))

    with pytest.raises(DataError, match=r"t\.parquet' has no rows$"):
        read_table(path)


# NumPy archives


@pytest.mark.parametrize("names", [("X", "y"), ("X", "Y")])
def test_arrays_become_columns_without_names(npz, names):
    table = npz(**dict(zip(names, (np.array([[1, 2], [3, 4]]), np.array(["a", "b"])), strict=True)))

    assert cells(table) == {"column1": [1, 3], "column2": [2, 4], "target": ["a", "b"]}
    assert table.targets == ("target",)
    assert not table.named


def test_a_target_matrix_becomes_several_targets(npz):
    assert npz(X=np.zeros((3, 1)), Y=np.zeros((3, 2))).targets == ("target1", "target2")


def test_an_archive_may_have_no_target(npz):
    table = npz(X=np.ones((2, 1), bool))

    assert cells(table) == {"column1": [1, 1]}
    assert table.targets == ()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": np.zeros((2, 2))}, r"t\.npz' holds 'x_train' and no array 'X'; save X of shape"),
        ({}, r"t\.npz'"),
        ({"X": np.zeros(3)}, r"'X' in '.*t\.npz' has shape \(3,\) instead of \(n, d\)$"),
        ({"X": np.zeros((2, 2, 2))}, r"'X' in .* has shape \(2, 2, 2\) instead of"),
        ({"X": np.float64(1)}, r"'X' in .* has shape \(\) instead of"),
        ({"X": np.zeros((2, 2)), "y": np.zeros((2, 1, 1))}, r"'y' in .* has shape \(2, 1, 1\)"),
        ({"X": np.zeros((2, 2)), "y": np.zeros(3)}, r"'X' in '.*t\.npz' has 2 rows and 'y' has 3$"),
        ({"X": np.zeros((0, 2))}, "has no rows"),
        ({"X": np.zeros((2, 0))}, "has no rows"),
        ({"X": np.zeros((2, 1), complex)}, r"column 'column1' of .* has type complex128, and only"),
        ({"X": np.array([["a"], [1]], object)}, r"t\.npz' holds Python objects or damaged arrays"),
    ],
)
def test_a_bad_archive_is_explained(npz, arrays, message):
    with pytest.raises(DataError, match=message):
        npz(**arrays)


class Trap:
    """Loading this would run code."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def test_a_pickle_is_refused_unread(npz):
    with pytest.raises(DataError, match="holds Python objects or damaged arrays, which are not loaded"):
        npz(X=np.array([[Trap()]]))


@pytest.mark.parametrize("zeros", [(150, 190), (-60, None)])
def test_a_damaged_archive_is_explained(tmp_path, zeros):
    np.savez_compressed(tmp_path / "t.npz", X=np.random.default_rng(0).normal(size=(9, 9)))
    content = np.fromfile(tmp_path / "t.npz", np.uint8)
    content[slice(*zeros)] = 0
    content.tofile(tmp_path / "t.npz")

    with pytest.raises(DataError, match=r"t\.npz' is a damaged \.npz file; make it again$"):
        read_table(tmp_path / "t.npz")


# Any file


@pytest.mark.parametrize("name", ["t.parquet", "t.npz"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"a,b\n1,2\n", "it is text beginning with 'a,b'$"),
        (b"\x80\x81\x82\x83\x84", "it is text that is not UTF-8, or binary data$"),
        (b"\x93NUMPY....", r"it is a single NumPy array \(.npy\)$"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_explained(tmp_path, name, content, found):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError, match=rf"{re.escape(name)}' is not what its name says; {found}"):
        read_table(tmp_path / name)


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(DataError, match=r"^there is no file '.*t\.csv'$"):
        read_table(tmp_path / "t.csv")


def test_a_misspelt_built_in_set_is_explained():
    with pytest.raises(DataError, match=r"^there is no file or built-in set 'digts'; did you mean 'digits'\?$"):
        read_table("digts")


def test_a_directory_is_explained(tmp_path):
    with pytest.raises(DataError, match=r"is a directory; name one of its files$"):
        read_table(tmp_path)


def test_an_unknown_kind_of_file_is_explained(tmp_path):
    (tmp_path / "t.xlsx").touch()

    with pytest.raises(DataError, match=r"cannot tell from its name what '.*t\.xlsx' is; CSV \(\.csv, "):
        read_table(tmp_path / "t.xlsx")


def test_what_the_system_refuses_is_explained(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "t.csv").touch()
    monkeypatch.setattr("chainrule.tables.delimited.signature", refuse)

    with pytest.raises(DataError, match=r"^cannot read '.*t\.csv': Permission denied$"):
        read_table(tmp_path / "t.csv")


# Built-in sets


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_set_has_the_columns_of_scikit_learn(name):
    loaded = getattr(datasets, f"load_{name}")()

    table = read_table(name)

    assert table.names == (*loaded.feature_names, "target")
    assert np.array_equal(np.column_stack(table.columns[:-1]), loaded.data)
    assert table.targets == ("target",)
    assert table.named


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("breast_cancer", {"malignant", "benign"}),
        ("iris", {"setosa", "versicolor", "virginica"}),
        ("wine", {"class_0", "class_1", "class_2"}),
        ("digits", set(range(10))),
    ],
)
def test_the_target_of_a_built_in_set_holds_the_names_of_its_classes(name, targets):
    assert set(read_table(name).column("target")) == targets


def test_a_file_with_the_name_of_a_built_in_set_is_reached_by_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iris").mkdir()

    assert read_table("iris").rows == 150
    with pytest.raises(DataError, match="is a directory"):
        read_table(tmp_path / "iris")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.npz"])
def test_an_empty_file_is_called_empty(tmp_path, name):
    (tmp_path / name).write_bytes(b"")

    with pytest.raises(DataError, match=rf"{re.escape(name)}' is empty$"):
        read_table(tmp_path / name)


def test_a_header_that_was_asked_for_is_not_doubted(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n")

    with pytest.raises(DataError, match=r"t\.csv' has a header and no rows$"):
        read_table(tmp_path / "t.csv", header=True)
