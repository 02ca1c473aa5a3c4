"""Results that papers print, with the table of each and its misprints."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import Literal

import numpy as np
from sklearn.utils import Bunch

from skfau._pandas import import_pandas

_FILE = "_published_results.csv"
_DESCR = """Published results of AU detection
=================================

{n_rows} rows of the tables of four papers, in percent as printed:

FAU-Transformer   G. M. Jacob, B. Stenger. Facial Action Unit Detection With
                  Transformers. CVPR 2021.
WSARL             Z. Shao et al. Facial Action Unit Detection Using Attention and
                  Relation Learning. arXiv:1808.03457, 2018.
SEV-Net           H. Yang et al. Exploiting Semantic Embedding and Visual Feature for
                  Facial Action Unit Detection. CVPR 2021.
AUNet             J. Yang et al. Towards Robust Facial Action Units Detection.
                  Proceedings of the IEEE, 2023.

A fifth, G. Tallec et al., Multi-label classification with Transformers for Action
Unit Detection (2022), prints no results.

Mind what is compared: papers share subjects and folds but not frames, several keep
the epoch that scores best on the test fold, and figures of other methods are quoted
from paper to paper. Rows whose AUs do not average to the printed mean are left as
printed; their note says what the AUs average to.
"""


def published_results(
    dataset: Literal["bp4d", "bp4d_plus", "disfa", "emotionet", "affwild2_2020"]
    | None = None,
    *,
    metric: Literal["f1", "accuracy"] = "f1",
    as_frame: bool = False,
) -> Bunch:
    """Return the results that papers report: a row per method, with its source.

    Parameters
    ----------
    dataset : {"bp4d", "bp4d_plus", "disfa", "emotionet", "affwild2_2020"} or None, \
default=None
        Data set of the test; None returns all.
    metric : {"f1", "accuracy"}, default="f1"
        F1 over frames, or the accuracy that one of the papers adds.
    as_frame : bool, default=False
        Return ``data`` as a :class:`pandas.DataFrame`.

    Returns
    -------
    published : Bunch
        ``aus`` (tuple of int), ``DESCR`` and ``data``, a structured array with a row
        per printed method: ``source``, the system that the paper is known for, and
        ``table``, or the section of a text; ``dataset`` tested on, ``trained_on``, and
        ``kind``: "comparison", "ablation", "mixture" (trained on several data sets) or
        "cross-data-set"; ``metric``; ``method``; ``quoted``, whether the paper quotes
        the row from another; ``AU1``, ..., ``mean``, percent as printed; ``note`` on
        misprints, and on figures that papers quote differently.

    Raises
    ------
    ValueError
        If the data set or the metric is unknown.
    ImportError
        If `as_frame` and pandas is not installed.

    Examples
    --------
    >>> from skfau.datasets import published_results
    >>> published = published_results("disfa")
    >>> rows = published.data[published.data["kind"] == "comparison"]
    >>> for row in rows[~rows["quoted"]]:
    ...     print(row["source"], row["table"], row["method"], row["AU12"], row["mean"])
    FAU-Transformer 2 FAU-Transformer 72.1 61.5
    WSARL 2 WSARL 74.5 57.2
    SEV-Net 2 SEV-Net 71.6 58.8
    AUNet XIV ResNet18 73.8 53.8
    AUNet XIV ResNet18-A 71.3 59.2
    AUNet XIV AU-FAN 77.0 63.5
    AUNet XIV AUNet 79.7 66.1
    """
    rows = _read()
    _check_known("dataset", dataset, rows, none=True)
    _check_known("metric", metric, rows)
    chosen = [row for row in rows if row["metric"] == metric]
    chosen = [row for row in chosen if dataset in (None, row["dataset"])]
    codes = [name for name in rows[0] if any(row[name] for row in chosen)]
    codes = [name for name in codes if name.startswith("AU")]
    data = _as_records(chosen, codes)
    if as_frame:
        data = import_pandas("as_frame=True").DataFrame(data)
    aus = tuple(int(code[2:]) for code in codes)
    return Bunch(data=data, aus=aus, DESCR=_DESCR.format(n_rows=len(chosen)))


def _read():
    text = files("skfau.datasets").joinpath(_FILE).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


def _check_known(name, value, rows, none=False):
    known = list(dict.fromkeys(row[name] for row in rows))
    if value not in known and not (none and value is None):
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, known))}"
            f"{' or None' if none else ''}, got {value!r}"
        )


def _as_records(rows, codes):
    texts = ("source", "table", "dataset", "kind", "trained_on", "metric", "method")
    columns = {name: np.array([row[name] for row in rows]) for name in texts}
    columns["quoted"] = np.array([row["quoted"] == "1" for row in rows])
    for name in [*codes, "mean"]:
        columns[name] = np.array([float(row[name] or "nan") for row in rows])
    columns["note"] = np.array([row["note"] for row in rows])
    records = np.empty(
        len(rows), dtype=[(name, column.dtype) for name, column in columns.items()]
    )
    for name, column in columns.items():
        records[name] = column
    return records
