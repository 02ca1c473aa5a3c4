"""Predictions and features as tables whose rows say whose face it was."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from skfau._pandas import import_pandas
from skfau._single_au import with_absence
from skfau._unwrap import is_binary
from skfau._validation import bare_au
from skfau.faces import Faces

# Columns of faces that name the rows of a table, in this order.
ROW_NAMES = ("subject", "video", "frame", "time", "person", "status")


def row_names(X, names=ROW_NAMES):
    """Return the index of a table with a row per row of `X`.

    Parameters
    ----------
    X : Faces, DataFrame or array-like of length n_samples
        What was described or predicted.
    names : sequence of str, default=ROW_NAMES
        Columns of faces to take.

    Returns
    -------
    index : pandas.Index or None
        Of faces those of `names` that they have, a MultiIndex if several; of a
        DataFrame its own; None where nothing names the rows.
    """
    if not isinstance(X, Faces):
        return X.index if is_table(X) else None
    from pandas import DataFrame

    given = {name: X.column(name) for name in names if name in X.columns}
    given = {name: values for name, values in given.items() if np.ndim(values) == 1}
    return DataFrame(given).set_index(list(given)).index if given else None


def is_table(values):
    """Return whether values are a DataFrame of pandas."""
    return hasattr(values, "iloc")


def output_of(transformer):
    """Return what ``set_output`` or ``sklearn.set_config`` chose: "pandas", ..."""
    own = getattr(transformer, "_sklearn_output_config", {})
    return own.get("transform", get_config()["transform_output"])


def name_rows(transformer, features, faces):
    """Return features as scikit-learn wraps them, but with names of the rows.

    Parameters
    ----------
    transformer : object
        Whose output was chosen by ``set_output`` or ``sklearn.set_config``.
    features : ndarray of shape (n_samples, n_features)
        Its own.
    faces : Faces
        Those described.

    Returns
    -------
    features : ndarray or DataFrame of shape (n_samples, n_features)
        A DataFrame if pandas was chosen. scikit-learn keeps its index and names the
        columns. The index is without ``status``, which is of an alignment: tables of
        two of them are joined by `sklearn.pipeline.FeatureUnion`, row by equal row.
    """
    if output_of(transformer) != "pandas":
        return features
    from pandas import DataFrame

    return DataFrame(features, index=row_names(faces, ROW_NAMES[:-1]))


class FacesOutput:
    """A transformer that returns faces, in chains whose other steps return tables."""

    def __init_subclass__(cls, **options):
        # `sklearn.set_config` must not make tables of faces.
        super().__init_subclass__(auto_wrap_output_keys=None, **options)

    def get_feature_names_out(self, input_features: None = None) -> NDArray[np.object_]:
        """Return no names: faces have none, and the next step gives its own.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of shape (0,), dtype object
        """
        return np.array([], dtype=object)

    def set_output(
        self, *, transform: Literal["default", "pandas", "polars"] | None = None
    ) -> Self:
        """Accept what a pipeline asks of all its steps; faces stay faces.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            Ignored: what follows in the chain needs `Faces`, which are no table.

        Returns
        -------
        self : object
            This transformer.
        """
        return self


class TableOutput:
    """A classifier of AUs, whose `predict_proba` can return a table."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.multi_class = False
        return tags

    def set_output(
        self, *, predict_proba: Literal["default", "pandas"] | None = None
    ) -> Self:
        """Choose what `predict_proba` returns.

        Parameters
        ----------
        predict_proba : {"default", "pandas"} or None, default=None
            ``"pandas"`` gives a DataFrame with columns ``AU1``, ``AU2``, ... and
            needs pandas; after labels of shape (n_samples,) they are ``no_AU1`` and
            ``AU1``. Its index is made of what the faces have of ``subject``,
            ``video``, ``frame``, ``time``, ``person`` and ``status``; a DataFrame of
            features keeps its own. None changes nothing. The last step of a pipeline
            decides for the whole: ``pipe[-1].set_output(predict_proba="pandas")``.

        Returns
        -------
        self : object
            The classifier.

        Raises
        ------
        ValueError
            If `predict_proba` is something else.
        ImportError
            If it is ``"pandas"``, and pandas is not installed.
        """
        if predict_proba not in {"default", "pandas", None}:
            raise ValueError(
                "predict_proba must be 'default', 'pandas' or None, "
                f"got {predict_proba!r}."
            )
        if predict_proba == "pandas":
            import_pandas("set_output(predict_proba='pandas')")
        if predict_proba is not None:
            # scikit-learn's clone carries an attribute of this name along.
            self._sklearn_output_config = {"predict_proba": predict_proba}
        return self

    def _as_output(self, probabilities, X, aus=None):
        """Return probabilities of `X`, an array or a table, as the user chose.

        Columns are those of `aus`, or of `aus_` where that is None. Where nothing was
        chosen, a table of a wrapped classifier stays one. After labels of shape (n,)
        there are two columns of `aus_`: without the AU and with it.
        """
        binary = aus is None and is_binary(self)
        own = getattr(self, "_sklearn_output_config", {}).get("predict_proba")
        if own == "pandas" and not is_table(probabilities):
            from pandas import DataFrame

            aus = getattr(self, "aus_", None) if aus is None else aus
            columns = None if aus is None else [f"AU{bare_au(au)}" for au in aus]
            probabilities = DataFrame(probabilities, row_names(X), columns)
        elif own == "default":
            probabilities = np.asarray(probabilities)
        return with_absence(probabilities) if binary else probabilities


def like(values, table):
    """Return values as a table with the names of another, if that is one."""
    if not is_table(table):
        return values
    from pandas import DataFrame

    return DataFrame(values, index=table.index, columns=table.columns)
