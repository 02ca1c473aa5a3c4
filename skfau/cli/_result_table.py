"""The table that `predict` writes: its columns, as CSV or Parquet."""

import contextlib
import csv
import io

import numpy as np

from skfau._files import write_atomically

SUFFIXES = ".csv", ".parquet"


def need_writer(path):
    """Raise unless a table with this suffix can be written."""
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            "the table is a CSV or Parquet file: -o must end in "
            f"{' or '.join(SUFFIXES)}, got {path}."
        )
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"{path} is a Parquet file, which pyarrow writes, and that is not "
                "installed: pip install 'skfau[parquet]', or take -o with .csv."
            ) from error


@contextlib.contextmanager
def table_writer(path):
    """Open a table that takes its place once it is complete.

    Yields a function of columns, dicts of masked arrays or lists of one length.
    """
    make = _CSVWriter if path.suffix.lower() == ".csv" else _ParquetWriter
    with write_atomically(path) as file:
        writer = make(file)
        yield writer.write
        writer.close()


class _CSVWriter:
    def __init__(self, file):
        self._file, self._has_header = file, False

    def write(self, columns):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self._has_header:
            writer.writerow(columns)
            self._has_header = True
        writer.writerows(zip(*map(_texts, columns.values()), strict=True))
        self._file.write(text.getvalue().encode("utf-8", "surrogateescape"))

    def close(self):
        pass


def _texts(values):
    """Return cells: the shortest text of a number, "" where it is not known."""
    if values.dtype.kind == "f":
        return ["" if np.isnan(value) else str(value) for value in values]
    return ["" if value is None else value for value in values.tolist()]


class _ParquetWriter:
    def __init__(self, file):
        self._file, self._writer = file, None

    def write(self, columns):
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        arrays = {name: _arrow(values) for name, values in columns.items()}
        table = pa.table(arrays)
        if self._writer is None:
            self._writer = ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)

    def close(self):
        if self._writer is not None:
            self._writer.close()


def _arrow(values):
    import pyarrow as pa

    if values.dtype.kind == "U":
        return pa.array([_clean(value) for value in values.tolist()], pa.string())
    hidden = np.ma.getmaskarray(values)
    if values.dtype.kind == "f":
        hidden = hidden | np.isnan(values)
    return pa.array(np.ma.getdata(values), mask=hidden)


def _clean(name):
    # Names of files that are not UTF-8 stay readable.
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def columns_of(part, paths, chain, kind):
    """Return the columns of a table.

    Parameters
    ----------
    part : dict of ndarray
        See `Chain.look_at`.
    paths : sequence of str
        Of which ``source`` is the number.
    chain : Chain
        Knows AUs, thresholds and intensities.
    kind : {"skfau", "openface"}
        Whose names and order.

    Returns
    -------
    columns : dict of str to ndarray of shape (n,)
        AUs are masked in rows without a face.
    """
    p = part["probabilities"]
    r = chain.intensities(p)
    present = np.ma.array(p >= chain.thresholds, np.int8, mask=np.isnan(p))
    path = np.array(paths)[part["source"]]
    about = FORMATS[kind](part | {"path": path})
    strong = {} if r is None else _by_au(chain.aus, "r", r)
    occurs = _by_au(chain.aus, "c", present)
    if kind == "openface":
        return {**about, **strong, **occurs}
    return {**about, **_by_au(chain.aus, "p", p), **strong, **occurs}


def _by_au(aus, suffix, values):
    return {f"AU{au:02d}_{suffix}": values[:, k] for k, au in enumerate(aus)}


def _own(part):
    sides = "left", "top", "right", "bottom"
    box = {f"box_{side}": part["box"][:, k] for k, side in enumerate(sides)}
    about = {name: part[name] for name in ("path", "frame", "time", "person")}
    after = {name: part[name] for name in ("score", "status")}
    return {**about, "n_faces": part["n_faces"], **box, **after}


def _openface(part):
    # OpenFace counts frames from 1, and tells of a lost face by success alone.
    seen = part["person"] >= 0
    return {
        "path": part["path"],
        "frame": part["frame"] + 1,
        "face_id": np.maximum(part["person"], 0),
        "timestamp": part["time"],
        "confidence": np.nan_to_num(part["score"]),
        "success": (seen & (part["status"] == "")).astype(int),
    }


#: Name of a format -> what it tells besides AUs.
FORMATS = {"skfau": _own, "openface": _openface}
