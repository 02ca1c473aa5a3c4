"""Damaged text is an error with file and line, or read as plain Python reads it."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skfau.datasets._bp4d import _read_occurrence
from skfau.datasets._text_files import csv_rows, int_table, read_lines
from skfau.exceptions import LabelError

WHOLE = b"0,1,2,12\n" + b"".join(b"%d,%d,9,0\n" % (k, k % 2) for k in range(5, 15))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("labels") / "F001_T1.csv"


def plain(data):
    """Read as plain Python does: the table {frame: {au: code}}, None if it cannot."""
    try:
        text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
        lines = text.replace("\r", "\n").split("\n")
        # Columns may have other names than AUs, and the first has any.
        names = [c.strip().removeprefix("AU") for c in lines[0].split(",")[1:]]
        header = [c if c[:1].isalpha() else int(c) for c in names]
        rows = [
            [int(cell) for cell in line.split(",")]
            for line in lines[1:]
            if line.strip()
        ]
    except (ValueError, IndexError):
        return None
    table = {row[0]: dict(zip(header, row[1:], strict=False)) for row in rows}
    square = all(len(row) == len(header) + 1 for row in rows)
    return table if square and len(table) == len(rows) else None


def check(path, data):
    path.write_bytes(data)
    try:
        frames, _, codes = _read_occurrence(path)
    except LabelError as error:
        assert str(path) in str(error) and "line" in str(error)
        return
    expected = plain(data)
    assert expected is not None, data
    assert frames.tolist() == sorted(expected)
    for frame, row in zip(frames.tolist(), codes, strict=True):
        coded = {au: int(row[au]) for au in np.flatnonzero(row >= 0).tolist()}
        aus = {au: c for au, c in expected[frame].items() if isinstance(au, int)}
        assert coded == {au: c for au, c in aus.items() if au < 100}


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(WHOLE)), put=st.binary(max_size=3), cut=st.integers(0, 4))
@example(at=2, put=b"\x1c", cut=0)
@example(at=2, put=b" A", cut=0)
@example(at=2, put=b"AU", cut=0)
@example(at=9, put=b"\x1c", cut=0)
def test_any_small_damage(path, at, put, cut):
    check(path, WHOLE[:at] + put + WHOLE[at + cut :])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(WHOLE)))
def test_any_truncation(path, at):
    check(path, WHOLE[:at])


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_line_ends_and_byte_order_marks(path, end):
    text = end.join(["1,2", "", "3,4", ""])
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    table, numbers = int_table(path, read_lines(path))
    assert table.tolist() == [[1, 2], [3, 4]] and numbers.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n3;4\n", r"csv, line 2: .* got 1 cells and the cell '3;4'.*semicolons"),
        ("1,2\n3\t4\n", r"line 2: .* Is it separated by tabs\?"),
        ("1,2\n3,\n", r"line 2: expected 2 whole numbers .* got the cell ''"),
        ("1,2\n3,4,5\n", r"line 2: .* got 3 cells in '3,4,5'"),
        ("1,2\n3,1_0\n", r"line 2: .* the cell '1_0'"),
        ("1,2\n3,99999999999999999999\n", r"line 2: .* the cell '9999999"),
        ("1,2\n3,\u0661\n", r"line 2: .* the cell '\u0661'"),
        ("1,2\n3,1.0\n", r"line 2: .* the cell '1.0'"),
    ],
)
def test_messages(path, text, message):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LabelError, match=message):
        int_table(path, read_lines(path))


def test_rows_begin_where_they_begin_and_quotes_must_close(path):
    lines = ["a,b", "", '1,"2', '3"', "4,5"]
    assert list(csv_rows(path, lines, skip=1)) == [(3, ["1", "23"]), (5, ["4", "5"])]
    lines = ["a,b", "1,2", '"3,4', *["x" * 1000] * 200]
    with pytest.raises(LabelError, match=r"csv, line 3: .*is a quote not closed"):
        list(csv_rows(path, lines, skip=1))
