"""`Comparison`: one table of systems by AUs, to print, test, save and draw."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skfau._files import write_atomically
from skfau._pandas import import_pandas
from skfau.metrics._paired_tests import holm

if TYPE_CHECKING:
    from pandas import DataFrame

_TITLES = {"f1": "F1", "skew_normalized_f1": "Skew-normalised F1", "roc_auc": "ROC AUC"}
_FOLDS = "fold mean"
LEVEL = 0.95


@dataclass(frozen=True, repr=False)
class Comparison:
    """Scores of several systems by AU and in the mean, with intervals and tests.

    Made by `skfau.model_selection.compare` and `cross_dataset_scores`, and by
    `compare_predictions`.

    Attributes
    ----------
    index : tuple of str
        "AU1", ..., "mean".
    metric : str
        Name of the score.
    scores : dict of str to BootstrapInterval
        For each system arrays of shape (n_aus + 1,), in the order of `index`.
    differences : dict of (str, str) to PairedBootstrap
        For each ordered pair: the first less the second, p-values unadjusted.
    chance : ndarray of shape (n_aus + 1,) or None
        Score of calling every AU present in every frame.
    published : dict of str to ndarray of shape (n_aus + 1,)
        What papers report, in [0, 1], NaN where an AU, or this mean, is not reported.
    notes : tuple of str
        What the figures leave out.
    y_true : ndarray of shape (n_samples, n_aus)
        The labels.
    predictions : dict of str to ndarray of shape (n_samples, n_aus)
        What was scored.
    subjects : array-like of shape (n_samples,)
        Subject of every row.
    probabilities : dict of str to ndarray of shape (n_samples, n_aus), default=None
        Out-of-fold probabilities, for thresholds, other scores and tests.
    folds : ndarray of shape (n_samples,), dtype intp, default=None
        Test fold of every row, from 0; -1 in none.
    fold_means : dict of str to float, default=None
        F1 averaged over AUs, then folds, as papers do.
    seconds : dict of str to float, default=None
        Time of all fits and predictions of a system.
    failures : dict of str to str, default=None
        Systems that raised an error, with its text. They are not in the table.

    Examples
    --------
    >>> from skfau.metrics import compare_predictions
    >>> y, people = [[1], [0]] * 12, [j // 2 for j in range(24)]
    >>> print(compare_predictions(y, {"a": y, "b": [[1]] * 24}, people, aus=(12,)))
    F1 of 2 systems on 12 subjects, 95 % intervals over subjects
          a                   b                     all 1
    AU12  1.000 [1.00, 1.00]  0.667 [0.67, 0.67] *  0.667
    mean  1.000 [1.00, 1.00]  0.667 [0.67, 0.67] *  0.667
    * differs from a: p < 0.05, paired over subjects, Holm's method.
    """

    index: tuple
    metric: str
    scores: dict
    differences: dict
    chance: np.ndarray | None
    published: dict
    notes: tuple
    y_true: np.ndarray
    predictions: dict
    subjects: np.ndarray
    probabilities: dict | None = None
    folds: np.ndarray | None = None
    fold_means: dict | None = None
    seconds: dict | None = None
    failures: dict | None = None

    @property
    def confidence_level(self) -> float:
        """Level of all intervals, 0.95; p-values below ``1 - 0.95`` are marked."""
        return LEVEL

    def adjusted_p_values(self, baseline: str | None = None) -> dict[str, NDArray[Any]]:
        """Test every other system against one, corrected for the number of tests.

        Parameters
        ----------
        baseline : str, default=None
            Name of a system; None takes the first.

        Returns
        -------
        p_values : dict of str to ndarray of shape (n_aus + 1,)
            By `paired_bootstrap_test`, adjusted by Holm's method: AUs over all AUs and
            systems, the mean (last) over the systems.

        Raises
        ------
        ValueError
            If there is no such system.
        """
        baseline = next(iter(self.scores)) if baseline is None else baseline
        if baseline not in self.scores:
            raise ValueError(
                f"baseline must be one of {', '.join(map(repr, self.scores))}, got "
                f"{baseline!r}"
            )
        names = [name for name in self.scores if name != baseline]
        if not names:
            return {}
        raw = np.stack([self.differences[name, baseline].p_value for name in names])
        adjusted = np.column_stack([holm(raw[:, :-1]), holm(raw[:, -1])])
        return dict(zip(names, adjusted, strict=True))

    def records(self) -> list[dict[str, Any]]:
        """Return one dict per system and AU; the first system is the baseline.

        Returns
        -------
        records : list of dict
            With ``system``, ``source`` ("measured", "level" or "published"), ``au``,
            ``score``, ``low``, ``high``, ``difference`` to the first system with its
            ``difference_low``, ``difference_high``, ``p_value`` and ``p_adjusted``;
            NaN where there is none.
        """
        first, adjusted = next(iter(self.scores)), self.adjusted_p_values()
        records = []
        for name, interval in self.scores.items():
            columns = dict(zip(_INTERVAL, interval, strict=True))
            if name != first:
                test = self.differences[name, first]
                columns |= dict(zip(_TEST, (*test, adjusted[name]), strict=True))
            records += self._rows(name, "measured", columns)
            if self.fold_means:
                score = self.fold_means[name]
                records.append(_record(name, "measured", _FOLDS, score=score))
        if self.chance is not None:
            records += self._rows("always present", "level", {"score": self.chance})
        for name, values in self.published.items():
            records += self._rows(name, "published", {"score": values})
        return records

    def _rows(self, name, source, columns):
        for j, au in enumerate(self.index):
            cells = {column: values[j] for column, values in columns.items()}
            yield _record(name, source, au, **cells)

    def to_frame(self) -> DataFrame:
        """Return `records` as a :class:`pandas.DataFrame`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pd = import_pandas("to_frame")
        return pd.DataFrame(self.records())

    def to_csv(self, path: str | Path) -> None:
        """Write `records` to a file; NaN become empty cells.

        Parameters
        ----------
        path : str or Path
            File to write or replace.
        """
        with (
            write_atomically(path) as raw,
            TextIOWrapper(raw, "utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
            writer.writeheader()
            for record in self.records():
                writer.writerow({k: "" if v != v else v for k, v in record.items()})

    def __repr__(self):
        columns = [["", *self.index]]
        columns += self._measured()
        if self.chance is not None:
            columns.append(["all 1", *map(_short, self.chance)])
        if self.published:
            columns.append(["|"] * (len(self.index) + 1))
        for name, values in self.published.items():
            columns.append([name, *map(_short, values)])
        if self.fold_means:
            means = [_short(self.fold_means[name]) for name in self.scores]
            ends = [_FOLDS, *means, *("" for _ in columns[len(means) + 1 :])]
            for column, cell in zip(columns, ends, strict=True):
                column.append(cell)
        widths = [max(map(len, column)) for column in columns]
        # Cells are aligned left: scores stand below each other, whatever their
        # intervals.
        lines = [
            "  ".join(
                [row[0].rjust(widths[0])]
                + [c.ljust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
            ).rstrip()
            for row in zip(*columns, strict=True)
        ]
        return "\n".join([self._title(), *lines, *self._legend(), *self.notes])

    def _title(self):
        title = _TITLES.get(self.metric, self.metric.replace("_", " ").capitalize())
        n_systems, n_subjects = len(self.scores), len(np.unique(self.subjects))
        return (
            f"{title} of {n_systems} system{'s' * (n_systems > 1)} on {n_subjects} "
            f"subjects, {100 * self.confidence_level:g} % intervals over subjects"
        )

    def _measured(self):
        adjusted = self.adjusted_p_values()
        for name, (score, low, high) in self.scores.items():
            p_values = adjusted.get(name, np.ones(len(score)))
            marks = np.where(p_values < 1 - self.confidence_level, " *", "")
            cells = zip(score, low, high, marks, strict=True)
            yield [name, *(_cell(*cell) for cell in cells)]

    def _legend(self):
        if len(self.scores) > 1:
            yield (
                f"* differs from {next(iter(self.scores))}: p < "
                f"{1 - self.confidence_level:.2g}, paired over subjects, Holm's method."
            )
        for name, text in (self.failures or {}).items():
            yield f"{name} failed: {text.strip().splitlines()[-1]}"


_INTERVAL = ("score", "low", "high")
_TEST = ("difference", "difference_low", "difference_high", "p_value", "p_adjusted")
_COLUMNS = ("system", "source", "au", *_INTERVAL, *_TEST)


def _record(system, source, au, **cells):
    numbers = {name: float(cells.get(name, np.nan)) for name in _INTERVAL + _TEST}
    return {"system": system, "source": source, "au": au, **numbers}


def _cell(score, low, high, mark):
    return "-" if np.isnan(score) else f"{score:.3f} [{low:.2f}, {high:.2f}]{mark}"


def _short(value):
    return "-" if np.isnan(value) else f"{value:.3f}"
