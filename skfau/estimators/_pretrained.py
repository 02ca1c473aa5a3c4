"""The model that the package ships."""

from importlib.resources import as_file, files

from skfau.estimators._chains import load

_FILES = {"rendered-1": "rendered-1.safetensors"}


def load_pretrained(name="rendered-1"):
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
    skfau.load : Reads models of your own.

    Notes
    -----
    It goes on with your labels as ``FAUTransformerClassifier(init_from=model, ...)``,
    with the model's network (see ``model[-1]``) as it is, and every system with
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
