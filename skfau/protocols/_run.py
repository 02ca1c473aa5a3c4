"""Run the protocol of a paper from a data set on disk to its table."""

from pathlib import Path

import numpy as np

from skfau import datasets, estimators
from skfau.metrics import au_f1_score
from skfau.model_selection import PublishedKFold, SubjectKFold
from skfau.preprocessing import FaceAligner, prepare
from skfau.protocols._protocol import PROTOCOLS
from skfau.protocols._result import ProtocolResult, published_figures

_LOADERS = {
    "bp4d": datasets.load_bp4d,
    "bp4d_plus": datasets.load_bp4d_plus,
    "disfa": datasets.load_disfa,
}


def run(
    system,
    dataset,
    root,
    *,
    pretrain_root=None,
    prepared=None,
    numbering="jaa",
    loader=None,
    aligner=None,
    verbose=False,
    **overrides,
):
    """Evaluate a system as its paper did: load, align, train by fold, score.

    Parameters
    ----------
    system : str
        "fau_transformer", "wsarl", "sevnet", "aunet", "mlgcn", "mscam" or "resnet".
    dataset : str
        "bp4d", "bp4d_plus" or "disfa"; `PROTOCOLS` has the pairs.
    root : str or Path
        Folder of the data set, as for its loader.
    pretrain_root : str, Path or None, default=None
        Folder of BP4D, for protocols on DISFA that start with training on BP4D.
    prepared : str, Path or None, default=None
        Folder for aligned faces, see `skfau.preprocessing.prepare`; None aligns them
        again in every epoch.
    numbering : {"jaa", "me-graphau", "au-net"}, default="jaa"
        Order of the published folds.
    loader, aligner : dict or None, default=None
        Other parameters for the loader and for FaceAligner.
    verbose : bool, default=False
        Whether to show progress.
    **overrides : object
        Other parameters of the estimator; ``weights=None`` downloads nothing.

    Returns
    -------
    result : ProtocolResult
        Print it.

    Raises
    ------
    ValueError
        If there is no such protocol, or it starts from weights that are not given.

    Examples
    --------
    >>> from skfau import protocols
    >>> print(protocols.run("wsarl", "bp4d", "/data/BP4D"))  # doctest: +SKIP
    """
    protocol = _protocol(system, dataset)
    options = (loader or {}, aligner or {}, prepared, verbose)
    start = _pretrained(protocol, pretrain_root, options, overrides)
    faces, target, deviating = _load(protocol, root, *options)
    model = _make(protocol, verbose, overrides | start)
    y_proba, fold = _out_of_fold(model, faces, target, protocol.folds, numbering)
    overrides = {**options[0], **options[1], **overrides}
    return _result(protocol, overrides, deviating, target, y_proba, fold)


def _result(protocol, overrides, deviating, target, y_proba, fold):
    return ProtocolResult(
        protocol=protocol,
        overrides=overrides,
        deviating=deviating,
        aus=protocol.aus,
        y_true=target,
        y_proba=y_proba,
        fold=fold,
        f1=_f1_of_folds(target, y_proba, fold),
        published=published_figures(protocol),
    )


def _protocol(system, dataset):
    if (system, dataset) not in PROTOCOLS:
        known = "; ".join(f"{s!r} on {d!r}" for s, d in PROTOCOLS)
        raise ValueError(f"no protocol of {system!r} on {dataset!r}; there are {known}")
    return PROTOCOLS[system, dataset]


def _load(protocol, root, loader, aligner, prepared, verbose):
    """Return aligned faces, labels, and the videos that differ from published data."""
    options = {**protocol.loader, **loader}
    bunch = _LOADERS[protocol.dataset](root, verbose=verbose, **options)
    align = FaceAligner(**{**protocol.aligner, **aligner})
    if prepared is None:
        faces = align.fit_transform(bunch.data)
    else:
        out = Path(prepared) / protocol.dataset
        faces = prepare(bunch.data, align, out, verbose=verbose)
    return faces, bunch.target, bunch.report.deviating


def _make(protocol, verbose, parameters):
    kind = getattr(estimators, protocol.estimator)
    given = {**protocol.parameters, **parameters}
    return kind(aus=protocol.aus, verbose=int(verbose), **given)


def _pretrained(protocol, root, options, overrides):
    """Return ``init_from``, in a dict, if the protocol starts from other weights."""
    if protocol.pretrained_on is None or "init_from" in overrides:
        return {}
    first = _protocol(protocol.system, protocol.pretrained_on)
    if root is None:
        raise ValueError(
            f"on {protocol.dataset!r} {protocol.title} begins with weights from "
            f"{first.dataset!r}: pass pretrain_root=, the folder of that data set, or "
            "init_from=, a fitted classifier or its file; init_from=None begins afresh"
        )
    loader, *rest = options
    shared = {k: v for k, v in loader.items() if k == "n_jobs"}
    faces, target, _ = _load(first, root, shared, *rest)
    model = _make(first, rest[-1], overrides)
    return {"init_from": model.fit(faces, target)}


def _out_of_fold(model, faces, target, folds, numbering):
    """Return probabilities by networks of the other folds, and the folds."""
    if isinstance(folds, str):
        splitter = PublishedKFold(folds, numbering)
    else:
        splitter = SubjectKFold(folds)
    y_proba = np.full(target.shape, np.nan, np.float32)
    fold = np.full(len(target), -1)
    for number, (train, test) in enumerate(splitter.split(faces, target)):
        fold[test] = number
        model.fit(faces[train], target[train])
        y_proba[test] = model.predict_proba(faces[test])
    return y_proba, fold


def _f1_of_folds(target, y_proba, fold):
    predicted = np.where(np.isnan(y_proba), np.nan, y_proba >= 0.5)
    return 100 * np.stack(
        [
            au_f1_score(
                target[fold == k], predicted[fold == k], average=None, absent="zero"
            )
            for k in range(fold.max() + 1)
        ]
    )
