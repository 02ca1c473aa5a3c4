"""Warnings that name the line of the user's code."""

import os
import pickle
import sys
import warnings
from pathlib import Path

import joblib
import sklearn

# Pipelines, searches, their workers and loading from disk call skfau for the user.
_INSIDE = (
    *(f"{Path(m.__file__).parent}{os.sep}" for m in (sklearn, joblib)),
    f"{Path(__file__).parent}{os.sep}",
    pickle.__file__,
)


def warn(message, category=UserWarning):
    """Warn at the first line outside skfau, scikit-learn, joblib and pickle.

    Parameters
    ----------
    message : str
    category : type, default=UserWarning
    """
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
