"""The model that the package ships."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skfau._unwrap import find_having
from skfau.estimators._chains import load
from skfau.facs import DATASET_AUS
from skfau.model_selection import AdaptedAUClassifier

_FILES = {"rendered-1": "rendered-1.safetensors"}


def load_pretrained(name: str = "rendered-1") -> Pipeline:
    """Return the shipped model, which finds AUs in photographs and videos.

    It was trained on rendered faces only, so that anybody may use it, also in a
    product. Its model card says on what, how well it does on whom, where it fails and
    what it must not be used for: ``MODEL_CARD.rst`` in the folder
    ``skfau/estimators/_trained``.

    Parameters
    ----------
    name : str, default="rendered-1"
        Name and version. A version does not change once it is released.

    Returns
    -------
    model : Pipeline
        A fitted `~sklearn.pipeline.Pipeline` of `FaceAligner` and
        `~skfau.model_selection.CalibratedAUClassifier`. It takes `Faces` with or
        without landmarks. ``predict_proba`` gives the probability of each AU of
        ``model[-1].aus_``, ``predict`` cuts it at learned thresholds, and
        ``model[-1].predict_intensity`` gives 0 to 5.

    Raises
    ------
    ValueError
        If there is no model of that name.

    See Also
    --------
    pretrained_classifier : Learns your labels, from where this model is.
    skfau.load : Reads models of your own.

    Notes
    -----
    `pretrained_classifier` goes on with your own labels, and every system with
    ``backbone="tiny"`` can start from ``weights="rendered"``. Each call reads the file
    again, so that nothing is shared between two models.

    Examples
    --------
    >>> import skfau
    >>> from skimage.data import astronaut
    >>> model = skfau.load_pretrained()
    >>> y_proba = model.predict_proba(skfau.Faces(astronaut()[None]))
    >>> y_proba.shape == (1, len(model[-1].aus_))
    True
    >>> smiles = model[-1].aus_.index(12)
    >>> bool(y_proba[0, smiles] > 0.5)
    True
    """
    if name not in _FILES:
        raise ValueError(
            f"name must be one of {', '.join(map(repr, _FILES))}, got {name!r}."
        )
    with as_file(files("skfau.estimators") / "_trained" / _FILES[name]) as path:
        return load(path)


def pretrained_classifier(
    aus: tuple[int, ...] | None = DATASET_AUS["bp4d"],
    *,
    name: str = "rendered-1",
    lr: float = 5e-5,
    max_epochs: int = 4,
    **settings: Any,
) -> Pipeline:
    """Return a chain to fit on your own labels, which starts from the shipped model.

    It learns your labels without forgetting what the shipped model knows, see
    `~skfau.model_selection.AdaptedAUClassifier`. AUs that the shipped model does not
    know start afresh.

    Parameters
    ----------
    aus : tuple of int or None, default=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
        AU number of each column of y; None means the AUs of the shipped model.
    name : str, default="rendered-1"
        As for `load_pretrained`.
    lr : float, default=5e-05
        Initial learning rate; a larger one unlearns more than a few people teach.
    max_epochs : int, default=4
        Epochs of the fit.
    **settings : dict
        Other parameters of `FAUTransformerClassifier`, such as ``random_state`` and
        ``augmentation``.

    Returns
    -------
    pipeline : Pipeline
        Not fitted; its steps are ``align`` and ``clf``.

    Raises
    ------
    ValueError
        If there is no model of that name, or a setting is no parameter.

    Examples
    --------
    >>> from skfau.datasets import load_rendered
    >>> from skfau.estimators import pretrained_classifier
    >>> mine = load_rendered(aus=(6, 12))
    >>> clf = pretrained_classifier((6, 12), max_epochs=1, random_state=0)
    >>> clf.fit(mine.data[:24], mine.target[:24]).predict_proba(mine.data[:24]).shape
    (24, 2)
    """
    model = load_pretrained(name)
    network, _ = find_having(model, "net_")
    settings = {"lr": lr, "max_epochs": max_epochs} | settings
    learning = clone(network).set_params(init_from=network, **settings)
    clf = AdaptedAUClassifier(FrozenEstimator(model[-1]), learning, aus=aus)
    return Pipeline([("align", clone(model[0])), ("clf", clf)])
