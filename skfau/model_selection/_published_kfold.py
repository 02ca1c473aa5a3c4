"""The partition of subjects that published figures refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import BaseCrossValidator

from skfau.datasets import published_folds
from skfau.model_selection._split import rows_of_folds, subjects_of

if TYPE_CHECKING:
    from skfau.faces import Faces


class PublishedKFold(BaseCrossValidator):
    """The 3-fold subject partition of the literature, by subject name.

    Parameters
    ----------
    dataset : {"bp4d", "disfa"}, default="bp4d"
        Data set of the subjects.
    numbering : {"jaa", "me-graphau", "au-net"}, default="jaa"
        Code whose order of the folds is used; see
        :func:`~skfau.datasets.published_folds`. It matters when fold numbers are
        compared or weights of one fold are loaded.

    Examples
    --------
    >>> import numpy as np
    >>> from skfau.model_selection import PublishedKFold
    >>> subjects = np.array(["F001", "F003", "F004", "M001"])
    >>> for train, test in PublishedKFold("bp4d").split(subjects, groups=subjects):
    ...     print(subjects[test])
    ['F001' 'M001']
    ['F003']
    ['F004']
    """

    __metadata_request__split = {"groups": True}

    def __init__(
        self,
        dataset: Literal["bp4d", "disfa"] = "bp4d",
        numbering: Literal["jaa", "me-graphau", "au-net"] = "jaa",
    ) -> None:
        self.dataset = dataset
        self.numbering = numbering

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return 3; the arguments are ignored.

        Returns
        -------
        n_splits : int
        """
        return len(published_folds(self.dataset, self.numbering))

    def test_folds(
        self, X: Faces | ArrayLike, y: Any = None, groups: ArrayLike | None = None
    ) -> NDArray[np.intp]:
        """Return the test fold of every row, from 0.

        Parameters
        ----------
        X : Faces or array-like of shape (n_samples, ...)
            Its ``subject`` is read unless `groups` are given.
        y : object, default=None
            Ignored.
        groups : array-like of shape (n_samples,), default=None
            Subject name of every row, in any case: "F001", "sn001".

        Returns
        -------
        folds : ndarray of shape (n_samples,), dtype intp
            0, 1 or 2.

        Raises
        ------
        MissingColumnError
            If the subjects are not known.
        ValueError
            If a subject is not in the partition, or a fold has no row.
        """
        parts = published_folds(self.dataset, self.numbering)
        fold_of = {name: k for k, fold in enumerate(parts) for name in fold}
        names, codes = np.unique(subjects_of(X, groups), return_inverse=True)
        spelled = [str(name).strip().upper() for name in names]
        unknown = [s for s in spelled if s not in fold_of]
        if unknown:
            raise ValueError(
                f"{', '.join(unknown)}: not among the {len(fold_of)} subjects of the "
                f"published {self.dataset!r} folds ({', '.join(parts[0][:2])}, ...); "
                "leave these rows out, rename the subjects, or use SubjectKFold"
            )
        folds = np.array([fold_of[s] for s in spelled], dtype=np.intp)
        for k, fold in enumerate(parts):
            if k not in folds:
                raise ValueError(
                    f"no row belongs to fold {k + 1} of {self.dataset!r} "
                    f"({', '.join(fold)}); with part of the data set use SubjectKFold"
                )
        return folds[codes]

    def _iter_test_indices(self, X=None, y=None, groups=None):
        return rows_of_folds(self.test_folds(X, y, groups), self.get_n_splits())
