"""Results of a protocol, beside the figures of its paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skfau.datasets import published_results
from skfau.protocols._protocol import NO_FIGURES, Protocol, filled

_OTHER_VIDEOS = (
    "Not the published data: {} videos lack frames or are others, so that the figures "
    "do not compare."
)
_OTHER_NUMBER = (
    "Not the published data: {:,} faces are scored, of {:,}, so that the figures do "
    "not compare."
)
# Overrides that change how a run goes, not what it computes.
_NEUTRAL = {
    *("random_state", "index", "n_jobs", "device", "n_threads", "checkpoint_dir"),
    "feature_cache",
}


@dataclass(frozen=True, repr=False)
class ProtocolResult:
    """Probabilities of the scored faces and their F1 and accuracy; ``print`` it.

    Attributes
    ----------
    protocol : Protocol
        What was run.
    overrides : dict
        Parameters that differ from the published ones, in all stages.
    stages : dict of str to dict
        Parameters that differ in single stages.
    deviating : tuple of str
        Videos whose data differ from the published ones.
    aus : tuple of int
        AU of every column.
    y_true : ndarray of shape (n_samples, n_aus), dtype float32
        Labels, 0, 1 or NaN.
    y_proba : ndarray of shape (n_samples, n_aus), dtype float32
        Probabilities by the network that has not seen the row's subject, or the part
        of the data set that is scored; NaN without a face.
    fold : ndarray of shape (n_samples,), dtype int
        Test fold of every row, from 0.
    f1 : ndarray of shape (n_folds, n_aus), dtype float64
        F1 in percent at a cut of 0.5; 0 for an AU that a fold lacks, as in published
        code.
    accuracy : ndarray of shape (n_folds, n_aus), dtype float64
        Accuracy in percent at the same cut.
    published : dict
        AU number, or "mean", to the published F1 in percent; empty without figures.
    published_accuracy : dict
        The same of the accuracy.
    """

    protocol: Protocol
    overrides: dict
    stages: dict
    deviating: tuple
    aus: tuple
    y_true: np.ndarray
    y_proba: np.ndarray
    fold: np.ndarray
    f1: np.ndarray
    accuracy: np.ndarray
    published: dict
    published_accuracy: dict

    @property
    def f1_by_au(self) -> NDArray[np.float64]:
        """F1 of every AU in percent, mean over folds, ndarray of shape (n_aus,)."""
        return self.f1.mean(axis=0)

    @property
    def mean_f1(self) -> float:
        """Mean F1 in percent, as published: over AUs per fold, then over folds."""
        return float(self.f1.mean(axis=1).mean())

    @property
    def mean_accuracy(self) -> float:
        """Mean accuracy in percent, over AUs per fold, then over folds."""
        return float(self.accuracy.mean(axis=1).mean())

    def __repr__(self):
        of, n_folds, n_rows = self.protocol, len(self.f1), len(self.fold)
        means = f"mean over {n_folds} folds, " if n_folds > 1 else ""
        lines = [
            filled(
                f"{of.name} on {of.dataset}, F1 in percent, {means}{n_rows:,} frames"
            ),
            *_table(self.aus, self.f1, self.published),
        ]
        if self.published_accuracy:
            lines += ["Accuracy in percent"]
            lines += _table(self.aus, self.accuracy, self.published_accuracy)
        lines += [f"Published: {of.source}." if of.source else NO_FIGURES]
        lines += self._changes()
        if self.deviating:
            lines.append(filled(_OTHER_VIDEOS.format(len(self.deviating))))
        if of.data.n_scored not in (None, n_rows):
            lines.append(filled(_OTHER_NUMBER.format(n_rows, of.data.n_scored)))
        return "\n".join([*lines, of.notes()])

    def _changes(self):
        """Return a line for all stages, and one per stage that differs from them."""
        places = {"": self.overrides} | self.stages
        several = len(self.protocol.stages) > 1
        for place, changes in places.items():
            changes = {k: v for k, v in changes.items() if k not in _NEUTRAL}
            text = ", ".join(f"{k}={v!r}" for k, v in changes.items())
            where = f" in the stage {place}" if place else " in all stages" * several
            if changes:
                yield filled(f"Not as published{where}: {text}.")


def _table(aus, values, published):
    """Return lines: an AU, ours, published, their difference, and every fold."""
    n_folds = len(values)
    head = ["AU", "ours", "published", "difference"]
    rows = [head + [f"fold {k + 1}" for k in range(n_folds)] * (n_folds > 1)]
    columns = [*values.T, values.mean(axis=1)]
    for name, of_folds in zip((*aus, "mean"), columns, strict=True):
        ours, theirs = of_folds.mean(), published.get(name, np.nan)
        cells = [str(name), _text(ours), _text(theirs), _text(ours - theirs, "+")]
        rows.append(cells + [_text(value) for value in of_folds] * (n_folds > 1))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True))
        for row in rows
    ]


def _text(value, sign=""):
    return "-" if np.isnan(value) else f"{value:{sign}.1f}"


def published_figures(protocol, metric="f1"):
    """Return a dict of AU number, or "mean" as printed, to published percent.

    Parameters
    ----------
    protocol : Protocol
        Of one row of `skfau.datasets.published_results`, or of none.
    metric : {"f1", "accuracy"}, default="f1"
        What the figures are.

    Returns
    -------
    figures : dict
        Without the AUs that the row leaves out; empty without a row.
    """
    if protocol.table is None:
        return {}
    data = published_results(metric=metric).data
    key = (*protocol.table, protocol.dataset)
    for row in data:
        if tuple(row[["source", "table", "method", "dataset"]]) == key:
            names = {au: f"AU{au}" for au in protocol.aus} | {"mean": "mean"}
            names = {k: v for k, v in names.items() if v in data.dtype.names}
            figures = {name: float(row[column]) for name, column in names.items()}
            return {k: v for k, v in figures.items() if not np.isnan(v)}
    return {}
