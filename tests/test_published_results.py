"""The papers' tables as data: complete, in range, and honest about their slips."""

import re

import numpy as np
import pytest

from skfau.datasets import published_results
from skfau.facs import DATASET_AUS

F1 = published_results()
# AUs and mean are each rounded to 0.05, so that they may differ by twice as much.
ROUNDING = 0.1 + 1e-9
# source, table, method, metric: the mean is printed, the AUs average to something else.
INCONSISTENT = {
    ("FAU-Transformer", "1", "SRERL", "f1"): 62.9,
    ("FAU-Transformer", "1", "EAC-Net", "f1"): 55.6,
    ("FAU-Transformer", "2", "EAC-Net", "f1"): 57.4,
    ("WSARL", "1", "LSVM", "f1"): 36.7,
    ("WSARL", "1", "DRML", "f1"): 47.7,
    ("WSARL", "1", "EAC-Net", "f1"): 55.6,
    ("WSARL", "2", "DRML", "f1"): 26.05,
    ("WSARL", "2", "EAC-Net", "f1"): 57.4,
    ("WSARL", "2", "LSVM", "accuracy"): 24.45,
    ("WSARL", "2", "EAC-Net", "accuracy"): 80.3,
    ("SEV-Net", "1", "LSVM", "f1"): 36.7,
    ("SEV-Net", "1", "DRML", "f1"): 47.7,
    ("SEV-Net", "1", "EAC-Net", "f1"): 55.6,
    ("SEV-Net", "2", "DRML", "f1"): 26.05,
    ("SEV-Net", "2", "EAC-Net", "f1"): 57.4,
    ("AUNet", "III", "JÂA-Net", "f1"): 62.7,
    ("AUNet", "VII", "AU-FAN", "f1"): 62.0,
    ("AUNet", "IX", "AU-TDN", "f1"): 37.6,
    ("AUNet", "XIII", "DRML", "f1"): 47.7,
    ("AUNet", "XIII", "JÂA-Net", "f1"): 61.6,
    ("AUNet", "XIII", "SRERL", "f1"): 62.9,
    ("AUNet", "XIV", "DRML", "f1"): 26.05,
    ("AUNet", "XIV", "ResNet18", "f1"): 561.7,
}


def by_au(published):
    return np.stack([published.data[f"AU{au}"] for au in published.aus], axis=1)


@pytest.mark.parametrize("metric", ["f1", "accuracy"])
def test_aus_average_to_the_printed_mean_but_for_those_listed(metric):
    published = published_results(metric=metric)
    found = {}
    for row, values in zip(published.data, by_au(published), strict=True):
        if np.isnan(values).all():
            continue
        average = np.nanmean(values)
        told = re.search(r"AUs as printed average ([\d.]+)", row["note"])
        if abs(average - row["mean"]) > ROUNDING:
            key = (row["source"], row["table"], row["method"], metric)
            found[key] = average
            assert abs(float(told[1]) - average) < 0.051, row
        else:
            assert told is None, row
    expected = {key: v for key, v in INCONSISTENT.items() if key[-1] == metric}
    assert found == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize(
    ("dataset", "n_comparison"), [("bp4d", 34), ("disfa", 33), ("bp4d_plus", 6)]
)
def test_comparisons_have_every_au_of_the_data_set(dataset, n_comparison):
    published = published_results(dataset)
    rows = published.data["kind"] == "comparison"
    assert published.aus == DATASET_AUS[dataset]
    assert rows.sum() == n_comparison
    assert not np.isnan(by_au(published)[rows]).any()
    assert set(published.data["dataset"]) == {dataset}


def test_every_row_has_a_mean_and_a_source_and_comes_once():
    data = F1.data
    assert not np.isnan(data["mean"]).any()
    assert ((data["mean"] > 0) & (data["mean"] < 100)).all()
    values = by_au(F1)
    # One cell is a misprint that the paper's mean gives away.
    assert (values[~np.isnan(values)] > 100).sum() == 1
    keys = [tuple(row[["source", "table", "dataset", "method"]]) for row in data]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("source", "dataset", "method", "cells"),
    [
        ("FAU-Transformer", "bp4d", "FAU-Transformer", (51.7, 77.8, 56.3, 64.2)),
        ("WSARL", "bp4d", "WSARL", (50.4, 74.4, 54.2, 60.4)),
        ("SEV-Net", "bp4d_plus", "MS-CAM", (38.3, 85.0, 28.0, 60.5)),
        ("AUNet", "bp4d", "AUNet", (58.0, 76.4, 52.3, 65.0)),
    ],
)
def test_single_cells_are_the_papers(source, dataset, method, cells):
    data = published_results(dataset).data
    row = data[
        (data["source"] == source)
        & (data["method"] == method)
        & (data["kind"] == "comparison")
    ]
    assert tuple(row[["AU1", "AU6", "AU24", "mean"]][0]) == cells


def test_figures_that_papers_quote_differently_are_noted():
    seen = {}
    for row, values in zip(F1.data, by_au(F1), strict=True):
        if row["kind"] in ("comparison", "cross-data-set"):
            seen.setdefault(
                (row["method"], row["dataset"], row["trained_on"]), []
            ).append(((*np.nan_to_num(values), row["mean"]), row["note"]))
    several = {k: rows for k, rows in seen.items() if len({v for v, _ in rows}) > 1}
    assert ("DSIN", "bp4d", "bp4d") in several
    unnoted = [k for k, rows in several.items() if not any(note for _, note in rows)]
    assert unnoted == []


def test_the_figures_of_a_text_are_rows_of_its_section():
    rows = F1.data[F1.data["table"] == "4.2"]
    found = dict(zip(rows["method"].tolist(), rows["mean"].tolist(), strict=True))
    assert found == {"L2 maps": 63.1, "L1 maps": 64.0}


def test_frame_has_the_same_columns():
    frame = published_results("bp4d_plus", as_frame=True).data
    assert list(frame.columns) == list(published_results("bp4d_plus").data.dtype.names)
    assert frame["mean"].max() == 61.5


def test_unknown_names_are_refused_and_the_known_ones_listed():
    with pytest.raises(ValueError, match=r"'bp4d', 'disfa', .* or None, got 'fera'"):
        published_results("fera")
    with pytest.raises(ValueError, match="'f1', 'accuracy', got 'auc'"):
        published_results(metric="auc")
