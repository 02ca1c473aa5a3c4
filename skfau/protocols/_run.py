"""Run the protocol of a paper from a data set on disk to its table."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skfau import datasets, estimators
from skfau.metrics import au_accuracy_score, au_f1_score
from skfau.model_selection import PublishedKFold, SubjectKFold
from skfau.preprocessing import FaceAligner, prepare
from skfau.protocols._protocol import PROTOCOLS
from skfau.protocols._result import ProtocolResult, published_figures


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
    every=None,
    stages=None,
    verbose=False,
    **overrides,
):
    """Evaluate a system as its paper did: load, align, train, score.

    A run that was killed goes on where it was, if it has `prepared` and
    ``checkpoint_dir=`` with an int ``random_state=``: the same call reads the aligned
    faces and the finished epochs of every fit.

    Parameters
    ----------
    system : str
        Such as "fau_transformer", "wsarl" or "jaanet".
    dataset : str
        Such as "bp4d", "disfa" or "emotionet_from_bp4d"; `PROTOCOLS` has the pairs.
    root : str or Path
        Folder of the data set, as for its loader.
    pretrain_root : str, Path, dict or None, default=None
        Folder of BP4D, for protocols that start with training on BP4D; a dict of
        folders by data set for those that start with several.
    prepared : str, Path or None, default=None
        Folder for aligned faces, see `skfau.preprocessing.prepare`; None aligns them
        again in every epoch.
    numbering : {"jaa", "me-graphau", "au-net"}, default="jaa"
        Order of the published folds.
    loader, aligner : dict or None, default=None
        Other parameters for all loaders and for FaceAligner.
    every : int or None, default=None
        Learn every so many-th frame of a video only; None is the protocol's number.
        All frames are scored.
    stages : dict of str to dict or None, default=None
        Other parameters of the estimator in single stages, such as
        ``{"disfa": {"lr": 3e-6}}``.
    verbose : bool, default=False
        Whether to show progress.
    **overrides : object
        Other parameters of the estimator in all stages; ``weights=None`` downloads
        nothing.

    Returns
    -------
    result : ProtocolResult
        Print it.

    Raises
    ------
    ValueError
        If there is no such protocol or stage, or it starts from weights that are not
        given.

    Examples
    --------
    >>> from skfau import protocols
    >>> print(protocols.PROTOCOLS["wsarl", "disfa"])
    WSARL on disfa: protocols.run("wsarl", "disfa", ...)
    FaceAligner(template='arl', output_size=200, border_value=128)
    WSARLClassifier()
    Stages: bp4d, disfa.
    Learns two of 3 published folds of subjects, is scored on the other.
    Published: Shao et al., arXiv:1808.03457v1, Table 2.
    Known to differ from the paper or the released code:
    - Equation 10: the energies of the CRF are added to the loss; ... left out,
    ...
    >>> print(protocols.run("wsarl", "bp4d", "/data/BP4D"))  # doctest: +SKIP
    """
    protocol = _find(system, dataset)
    changes = _Changes(
        loader or {}, aligner or {}, prepared, every, overrides, stages or {}, verbose
    )
    changes.check(protocol)
    start = _pretrained(protocol, pretrain_root, changes)
    scored = _evaluate(protocol, root, numbering, start, changes)
    thinned = {} if every is None else {"every": every}
    return ProtocolResult(
        protocol=protocol,
        overrides={**changes.loader, **changes.aligner, **thinned, **overrides},
        stages=changes.stages,
        aus=protocol.aus,
        published=published_figures(protocol),
        published_accuracy=published_figures(protocol, "accuracy"),
        **scored,
    )


def _find(system, experiment):
    if (system, experiment) not in PROTOCOLS:
        known = "; ".join(f"{s!r} on {d!r}" for s, d in PROTOCOLS)
        raise ValueError(
            f"no protocol of {system!r} on {experiment!r}; there are {known}"
        )
    return PROTOCOLS[system, experiment]


@dataclass(frozen=True)
class _Changes:
    """What a caller wants otherwise, as in `run`."""

    loader: dict
    aligner: dict
    prepared: str | Path | None
    every: int | None
    overrides: dict
    stages: dict
    verbose: bool

    def check(self, protocol):
        """Raise if a stage is none of the protocol's."""
        unknown = [name for name in self.stages if name not in protocol.stages]
        if unknown:
            raise ValueError(
                f"stages names {unknown}, and {protocol.title} has the stages "
                f"{', '.join(map(repr, protocol.stages))}"
            )

    def parameters(self, protocol):
        """Return the parameters of the estimator that differ in this stage."""
        return {**self.overrides, **self.stages.get(protocol.experiment, {})}

    def stride(self, protocol):
        """Return which so many-th frames are learned."""
        return protocol.every if self.every is None else self.every

    def say(self, text):
        """Show progress."""
        if self.verbose:
            print(text, file=sys.stderr, flush=True)


def _pretrained(protocol, roots, changes):
    """Return ``init_from``, in a dict, if the protocol starts from other weights."""
    if not protocol.pretrained_on or "init_from" in changes.parameters(protocol):
        return {}
    if roots is not None and not isinstance(roots, Mapping):
        roots = {protocol.pretrained_on[0]: roots}
    missing = [name for name in protocol.pretrained_on if name not in (roots or {})]
    if missing:
        which = " and ".join(map(repr, missing))
        folder = "the folder of that data set"
        if len(protocol.pretrained_on) > 1:
            folder = "a dict of the folders of these data sets"
        raise ValueError(
            f"on {protocol.dataset!r} {protocol.title} begins with weights from "
            f"{which}: pass pretrain_root=, {folder}, or init_from=, a fitted "
            "classifier or its file; init_from=None begins afresh"
        )
    start = {}
    for name in protocol.pretrained_on:
        first = _find(protocol.system, name)
        faces, target, _ = _load(first, roots[name], "train", changes, scored=False)
        faces, target = _thinned(faces, target, changes.stride(first))
        changes.say(f"{first.title} learns on {name}, {len(faces):,} frames")
        start = {"init_from": _make(first, changes, start).fit(faces, target)}
    return start


def _load(protocol, root, part, changes, scored=True):
    """Return aligned faces, labels, and the videos that differ from published data."""
    # Settings for the scored data set would be wrong for the others.
    others = changes.loader if scored else _only(changes.loader, "n_jobs")
    options = {**protocol.loader, **getattr(protocol, part), **others}
    load = getattr(datasets, f"load_{protocol.dataset}")
    bunch = load(root, verbose=changes.verbose, **options)
    deviating = tuple(getattr(bunch.report, "deviating", ()))
    if protocol.aligner is None:
        return bunch.data, bunch.target, deviating
    align = FaceAligner(**{**protocol.aligner, **changes.aligner})
    if changes.prepared is None:
        return align.fit_transform(bunch.data), bunch.target, deviating
    place = Path(changes.prepared) / protocol.dataset
    place = place if protocol.folds is not None else place / part
    faces = prepare(bunch.data, align, place, verbose=changes.verbose)
    return faces, bunch.target, deviating


def _only(options, *names):
    return {name: value for name, value in options.items() if name in names}


def _make(protocol, changes, start):
    kind = getattr(estimators, protocol.estimator)
    given = {**protocol.parameters, **start, **changes.parameters(protocol)}
    return kind(aus=protocol.aus, verbose=int(changes.verbose), **given)


def _thinned(faces, target, every):
    """Return every so many-th frame of each video, and its labels."""
    if every == 1:
        return faces, target
    rows = np.flatnonzero(_places(faces) % every == 0)
    return faces[rows], target[rows]


def _places(faces):
    """Return the place of every row in its video, from 0."""
    rows = np.arange(len(faces))
    if "video" not in faces.columns:
        return rows
    _, first, video = np.unique(faces.video, return_index=True, return_inverse=True)
    return rows - first[video]


def _evaluate(protocol, root, numbering, start, changes):
    """Return labels, probabilities, folds and scores of the scored rows, in a dict."""
    learned = _load(protocol, root, "train", changes)
    scored = learned
    if protocol.folds is None:
        scored = _load(protocol, root, "test", changes)
        everything = np.arange(len(learned[0])), np.arange(len(scored[0]))
        splits = [everything]
    elif isinstance(protocol.folds, str):
        splits = PublishedKFold(protocol.folds, numbering).split(*learned[:2])
    else:
        splits = SubjectKFold(protocol.folds).split(*learned[:2])
    target = scored[1]
    y_proba = np.full(target.shape, np.nan, np.float32)
    fold = np.full(len(target), -1)
    model = _make(protocol, changes, start)
    for number, (train, test) in enumerate(splits):
        faces, labels = learned[0][train], learned[1][train]
        faces, labels = _thinned(faces, labels, changes.stride(protocol))
        changes.say(
            f"{protocol.title} on {protocol.dataset}, fold {number + 1}: "
            f"{len(faces):,} frames to learn, {len(test):,} to score"
        )
        model.fit(faces, labels)
        y_proba[test] = model.predict_proba(scored[0][test])
        fold[test] = number
        f1 = _by_fold(au_f1_score, target[test], y_proba[test], fold[test] - number)
        changes.say(f"F1 {f1.mean():.1f}")
    return {
        "y_true": target,
        "y_proba": y_proba,
        "fold": fold,
        "f1": _by_fold(au_f1_score, target, y_proba, fold),
        "accuracy": _by_fold(au_accuracy_score, target, y_proba, fold),
        "deviating": tuple(dict.fromkeys(learned[2] + scored[2])),
    }


def _by_fold(score, target, y_proba, fold):
    """Return a score in percent, by fold and AU."""
    predicted = np.where(np.isnan(y_proba), np.nan, y_proba >= 0.5)
    return 100 * np.stack(
        [
            score(target[fold == k], predicted[fold == k], average=None, absent="zero")
            for k in range(fold.max() + 1)
        ]
    )
