"""What papers report, in the order and unit of a comparison."""

import numpy as np

from skfau.facs import DATASET_AUS

_METRICS = ("f1", "accuracy")


def published_columns(published, metric, index, defined=None):
    """Return the columns that a comparison shows beside its own.

    Parameters
    ----------
    published : str, structured array or None
        As `compare_predictions` takes it.
    metric : str
        The comparison's.
    index : tuple of str
        "AU1", ..., "mean".
    defined : set of str, default=None
        AUs that the comparison's own mean is over; None means all.

    Returns
    -------
    columns : dict of str to ndarray of shape (n_aus + 1,)
        In [0, 1]; the mean is NaN where it is one over other AUs, since means of
        unequal AUs say nothing about each other.
    """
    if published is None:
        return {}
    if metric not in _METRICS:
        raise ValueError(
            f"papers report {' and '.join(_METRICS)}, not {metric!r}; leave published "
            "out, or choose one of these"
        )
    if index[0].startswith("column"):
        raise ValueError("published figures are per AU: pass aus= to name the columns")
    columns = {}
    for row in _rows(published, metric):
        name, source = row["method"], row["source"]
        name = str(name) if name == source else f"{name} ({source})"
        name = f"{name}, Table {row['table']}" if name in columns else name
        columns[name] = _column(row, index, defined or set(index[:-1]))
    return columns


def _rows(published, metric):
    if isinstance(published, str):
        # The data sets' room brings OpenCV, which scores can do without.
        from skfau.datasets import published_results

        rows = published_results(published, metric=metric).data
        rows = rows[(rows["kind"] == "comparison") & ~rows["quoted"]]
    else:
        rows = published
        if "method" not in (getattr(published, "dtype", np.dtype(float)).names or ()):
            raise TypeError(
                "published must be a data set or rows of published_results().data, "
                f"got {type(published).__name__}"
            )
    if not len(rows):
        raise ValueError(
            f"no paper compares {metric} on {published!r}; choose rows of "
            "published_results().data yourself"
        )
    return rows


def _column(row, index, defined):
    printed = {name for name in row.dtype.names if name.startswith("AU")}
    printed = {name for name in printed if not np.isnan(row[name])}
    values = [row[name] if name in printed else np.nan for name in index[:-1]]
    # Rows without AUs, of ablations, are about all AUs of their data set.
    meant = printed or {f"AU{au}" for au in DATASET_AUS[row["dataset"]]}
    values.append(row["mean"] if meant == defined else np.nan)
    values = np.array(values) / 100
    # A misprint over 100 % is in the data, with a note, but no score.
    return np.where(values > 1, np.nan, values)
