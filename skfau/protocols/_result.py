"""Results of a protocol, beside the figures of its paper."""

from dataclasses import dataclass

import numpy as np

from skfau.datasets import published_results
from skfau.protocols._protocol import Protocol

_OTHER_DATA = (
    "Not the published data: {} videos lack frames or are others, so that the figures "
    "do not compare."
)


@dataclass(frozen=True, repr=False)
class ProtocolResult:
    """Out-of-fold probabilities of a protocol and their F1; ``print`` it.

    Attributes
    ----------
    protocol : Protocol
        What was run.
    overrides : dict
        Parameters that differ from the published ones.
    deviating : tuple of str
        Videos whose data differ from the published ones.
    aus : tuple of int
        AU of every column.
    y_true : ndarray of shape (n_samples, n_aus)
        Labels, 0, 1 or NaN.
    y_proba : ndarray of shape (n_samples, n_aus)
        Probabilities by the network that has not seen the row's subject; NaN without
        a face.
    fold : ndarray of shape (n_samples,)
        Test fold of every row, from 0.
    f1 : ndarray of shape (n_folds, n_aus)
        F1 in percent at a cut of 0.5; 0 for an AU that a fold lacks, as in published
        code.
    published : dict
        AU number, or "mean", to the published F1 in percent.
    """

    protocol: Protocol
    overrides: dict
    deviating: tuple
    aus: tuple
    y_true: np.ndarray
    y_proba: np.ndarray
    fold: np.ndarray
    f1: np.ndarray
    published: dict

    @property
    def f1_by_au(self):
        """F1 of every AU in percent, mean over folds, ndarray of shape (n_aus,)."""
        return self.f1.mean(axis=0)

    @property
    def mean_f1(self):
        """Mean F1 in percent, as published: over AUs per fold, then over folds."""
        return float(self.f1.mean(axis=1).mean())

    def __repr__(self):
        n_folds = len(self.f1)
        columns = ["AU", "ours", "published", "difference"]
        columns += [f"fold {k + 1}" for k in range(n_folds)]
        rows = [columns]
        values = [*self.f1.T, self.f1.mean(axis=1)]
        for name, of_folds in zip((*self.aus, "mean"), values, strict=True):
            ours, theirs = of_folds.mean(), self.published.get(name, np.nan)
            cells = [f"{ours:.1f}", _text(theirs), _text(ours - theirs, sign="+")]
            rows.append([str(name), *cells, *(f"{f1:.1f}" for f1 in of_folds)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True))
            for row in rows
        ]
        title = f"{self.protocol.title} on {self.protocol.dataset}, F1 in percent"
        neutral = {"random_state", "index", "n_jobs", "device", "n_threads"}
        changed = {k: v for k, v in self.overrides.items() if k not in neutral}
        changed = ", ".join(f"{k}={v!r}" for k, v in changed.items())
        notes = [
            f"{title}, mean over {n_folds} folds, {len(self.fold):,} frames",
            *lines,
            f"Published: {self.protocol.source}.",
            *([f"Not as published: {changed}."] if changed else []),
            *([_OTHER_DATA.format(len(self.deviating))] if self.deviating else []),
            *self.protocol.silent,
        ]
        return "\n".join(notes)


def _text(value, sign=""):
    return "-" if np.isnan(value) else f"{value:{sign}.1f}"


def published_figures(protocol):
    """Return a dict of AU number, or "mean" as printed, to published F1 in percent."""
    data = published_results(protocol.dataset).data
    table = protocol.source.rsplit(" ", 1)[-1]
    rows = data[
        (data["table"] == table)
        & (data["method"] == protocol.title)
        & (data["kind"] == "comparison")
    ]
    (row,) = rows
    names = {"mean": "mean"} | {au: f"AU{au}" for au in protocol.aus}
    return {name: float(row[column]) for name, column in names.items()}
