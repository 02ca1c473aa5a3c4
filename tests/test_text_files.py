"""Damaged text is an error with file and line, or read as plain Python reads it."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skfau.datasets import load_bp4d, load_emotionet
from skfau.exceptions import LabelError
from tests.trees import write_bp4d, write_image

pytestmark = pytest.mark.filterwarnings("ignore::skfau.exceptions.DatasetWarning")

WHOLE = b"0,1,2,12\n" + b"".join(b"%d,%d,9,0\n" % (k, k % 2) for k in range(5, 15))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Label file of a recording with images 1 to 14, beside a recording without AU."""
    root = tmp_path_factory.mktemp("bp4d")
    images = [str(k) for k in range(1, 15)]
    write_bp4d(root, "F001_T1", images, {})
    # Labels of every AU, so that the file under test may have any columns, or no row.
    every_au = ",".join(map(str, range(100)))
    write_bp4d(root, "F001_T2", ["1"], {1: {}}, header=every_au)
    return root / "AUCoding" / "AU_OCC" / "F001_T1.csv"


def load(path, aus=(1,)):
    """Return frames and target of the recording, and frames without an image."""
    bunch = load_bp4d(path.parents[2], aus=aus, first_frame=1, index=None)
    rows = bunch.data.video == "F001_T1"
    lost = bunch.report.videos["F001_T1"].without_image
    return bunch.data.frame[rows].tolist(), bunch.target[rows], lost.tolist()


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
    expected = plain(data)
    known = {au for row in (expected or {}).values() for au in row}
    aus = sorted(au for au in known if isinstance(au, int) and 0 < au < 100) or [1]
    try:
        frames, target, lost = load(path, aus)
    except LabelError as error:
        assert str(path) in str(error) and "line" in str(error)
        return
    assert expected is not None, data
    assert frames + lost == sorted(frames) + sorted(lost)
    assert sorted(frames + lost) == sorted(expected)
    for frame, row in zip(frames, target, strict=True):
        codes = [expected[frame][au] for au in aus]
        np.testing.assert_array_equal(row, [np.nan if c == 9 else c for c in codes])


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
def test_line_ends_of_any_system(path, end):
    text = end.join(["0,1", "1,1", "", "3,0", ""])
    path.write_bytes(text.encode())
    frames, target, _ = load(path)
    assert frames == [1, 3] and target.tolist() == [[1], [0]]
    path.write_bytes(text.replace("3,0", "3,7").encode())
    with pytest.raises(LabelError, match="line 4: AU1 is 7"):
        load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1\n3;0\n", r"csv, line 3: .* got 1 cells and the cell '3;0'.*semicolons"),
        ("1,1\n3\t0\n", r"line 3: .* Is it separated by tabs\?"),
        ("1,1\n3,\n", r"line 3: expected 2 whole numbers .* got the cell ''"),
        ("1,1\n3,0,5\n", r"line 3: .* got 3 cells in '3,0,5'"),
        ("1,1\n3,1_0\n", r"line 3: .* the cell '1_0'"),
        ("1,1\n3,99999999999999999999\n", r"line 3: .* the cell '9999999"),
        ("1,1\n3,\u0661\n", r"line 3: .* the cell '\u0661'"),
        ("1,1\n3,1.0\n", r"line 3: .* the cell '1.0'"),
        ("1,1\n3,1#0\n", r"line 3: .* the cell '1#0'"),
    ],
)
def test_messages(path, text, message):
    path.write_text(f"0,1\n{text}", encoding="utf-8")
    with pytest.raises(LabelError, match=message):
        load(path)


@pytest.fixture
def sheet(tmp_path):
    for name in "ab":
        write_image(tmp_path / f"{name}.jpg")
    return tmp_path / "labels.csv"


def test_rows_begin_where_they_begin(sheet):
    text = "URL,'AU 1',note\n\nx/a.jpg,1,\"two\nlines\"\nx/b.jpg,0,\n"
    sheet.write_text(text)
    bunch = load_emotionet(sheet.parent, aus=(1,), index=None)
    assert bunch.target.tolist() == [[1], [0]]
    sheet.write_text(text.replace(",0,", ",7,"))
    with pytest.raises(LabelError, match=r"csv, line 5: AU1 is '7'"):
        load_emotionet(sheet.parent, aus=(1,), index=None)


def test_a_byte_order_mark_is_no_part_of_the_text(sheet):
    sheet.write_text("URL,'AU 1'\nx/a.jpg,1\n", encoding="utf-8-sig")
    assert load_emotionet(sheet.parent, aus=(1,), index=None).target.tolist() == [[1]]


def test_quotes_must_close(sheet):
    lines = ["URL,'AU 1',note", "x/a.jpg,1,", 'x/b.jpg,1,"', *["x" * 1000] * 200]
    sheet.write_text("\n".join(lines))
    with pytest.raises(LabelError, match=r"csv, line 3: .*is a quote not closed"):
        load_emotionet(sheet.parent, aus=(1,), index=None)
