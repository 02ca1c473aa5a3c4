"""Run the protocol of a paper from a data set on disk to its table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skfau import estimators
from skfau._progress import tell
from skfau.metrics import au_accuracy_score, au_f1_score
from skfau.protocols._data import Reader, spread, thinned
from skfau.protocols._protocol import PROTOCOLS
from skfau.protocols._result import ProtocolResult, published_figures


def run(
    system: str,
    dataset: str,
    root: str | Path | dict[str, Any],
    *,
    pretrain_root: str | Path | dict[str, Any] | None = None,
    prepared: str | Path | None = None,
    numbering: Literal["jaa", "me-graphau", "au-net"] = "jaa",
    loader: dict[str, Any] | None = None,
    aligner: dict[str, Any] | None = None,
    every: int | None = None,
    stages: Mapping[str, dict[str, Any]] | None = None,
    verbose: bool = False,
    **overrides: Any,
) -> ProtocolResult:
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
    root : str, Path or dict
        Folder of the data set, as for its loader; a dict of folders by data set for
        protocols that learn others or several.
    pretrain_root : str, Path, dict or None, default=None
        Folder of BP4D, for protocols that start with training on BP4D; a dict of
        folders by data set for those that start with several.
    prepared : str, Path or None, default=None
        Folder for aligned faces, see `skfau.preprocessing.prepare`, one for every way
        of alignment; None aligns them again in every epoch.
    numbering : {"jaa", "me-graphau", "au-net"}, default="jaa"
        Order of the published folds.
    loader, aligner : dict or None, default=None
        Other parameters for the loader of the scored data set, and for FaceAligner.
    every : int or None, default=None
        Learn every so many-th frame of a video only; None is the protocol's number.
        All frames are scored.
    stages : dict of str to dict or None, default=None
        Other parameters of the estimator in single stages, such as
        ``{"disfa": {"lr": 3e-6}}``.
    verbose : bool, default=False
        Whether to show progress on standard error.
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
        If there is no such protocol or stage, a folder is missing, or weights that the
        training starts from are.

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
    changes = _Changes(every, overrides, stages or {}, verbose)
    changes.check(protocol)
    roots = _roots(protocol, root)
    reader = Reader(aligner or {}, prepared, numbering, verbose)
    start = _pretrained(protocol, pretrain_root, reader, changes)
    rounds = reader.rounds(protocol, roots, loader or {})
    scored = _evaluate(_make(protocol, changes, start), protocol, rounds, changes)
    thinning = {} if every is None else {"every": every}
    return ProtocolResult(
        protocol=protocol,
        overrides={**(loader or {}), **(aligner or {}), **thinning, **overrides},
        stages=changes.stages,
        deviating=tuple(dict.fromkeys(reader.deviating)),
        aus=protocol.aus,
        published=published_figures(protocol),
        published_accuracy=published_figures(protocol, "accuracy"),
        **scored,
    )


def _roots(protocol, root):
    """Return the folder of every data set that is learned or scored, by its name."""
    names = dict.fromkeys([*(data.name for data in protocol.learned), protocol.dataset])
    if not isinstance(root, Mapping):
        root = {protocol.dataset: root}
    missing = [name for name in names if name not in root]
    if missing:
        raise ValueError(
            f"{protocol.title} on {protocol.experiment!r} reads {', '.join(names)}: "
            f"pass root=, a dict of their folders; it lacks {', '.join(missing)}"
        )
    return root


def _find(system, experiment):
    if (system, experiment) not in PROTOCOLS:
        known = [f"{s!r} on {d!r}" for s, d in PROTOCOLS if s == system]
        known = known or [repr(s) for s in dict.fromkeys(s for s, _ in PROTOCOLS)]
        raise ValueError(
            f"no protocol of {system!r} on {experiment!r}; there are {', '.join(known)}"
        )
    return PROTOCOLS[system, experiment]


@dataclass(frozen=True)
class _Changes:
    """What a caller wants otherwise, as in `run`."""

    every: int | None
    overrides: dict
    stages: dict
    verbose: bool

    def check(self, protocol):
        """Raise if a change does not fit the protocol, before data are read."""
        if self.every is not None and self.every < 1:
            raise ValueError(f"every must be 1 or more, got {self.every!r}")
        unknown = [name for name in self.stages if name not in protocol.stages]
        if unknown:
            raise ValueError(
                f"stages names {unknown}, and {protocol.title} has the stages "
                f"{', '.join(map(repr, protocol.stages))}"
            )
        for name in protocol.stages:
            _make(_find(protocol.system, name), self, {})

    def parameters(self, protocol):
        """Return the parameters of the estimator that differ in this stage."""
        return {**self.overrides, **self.stages.get(protocol.experiment, {})}

    def stride(self, protocol):
        """Return which so many-th frames are learned."""
        return protocol.every if self.every is None else self.every

    def say(self, text):
        """Tell what is done."""
        tell(text, __name__, self.verbose)


def _pretrained(protocol, roots, reader, changes):
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
    start, aus = {}, ()
    for name in protocol.pretrained_on:
        first = _find(protocol.system, name)
        # Keep the AUs of one data set while the next, which may lack them, is learned.
        aus = tuple(sorted({*aus, *first.learned_aus}))
        part = reader.read(first.data, roots[name], "train", first.aligner, {})
        part = thinned(part, changes.stride(first))
        changes.say(f"{first.title} learns on {name}, {len(part.faces):,} frames")
        target = spread(part.target, first.learned_aus, aus)
        model = _make(first, changes, {**start, "aus": aus})
        start = {"init_from": model.fit(part.faces, target)}
    return start


def _make(protocol, changes, start):
    kind = getattr(estimators, protocol.estimator)
    given = {"aus": protocol.learned_aus, "verbose": int(changes.verbose)}
    changed = changes.parameters(protocol)
    return kind(**{**given, **protocol.parameters, **start, **changed})


def _evaluate(model, protocol, rounds, changes):
    """Return labels, probabilities, folds and scores of the scored rows, in a dict."""
    columns = np.isin(protocol.learned_aus, protocol.aus)
    parts = []
    for number, (learned, scored) in enumerate(rounds):
        learned = thinned(learned, changes.stride(protocol))
        changes.say(
            f"{protocol.name} on {protocol.dataset}, fold {number + 1}: "
            f"{len(learned.faces):,} frames to learn, {len(scored.faces):,} to score"
        )
        model.fit(learned.faces, learned.target)
        y_proba = model.predict_proba(scored.faces)[:, columns]
        fold = np.full(len(y_proba), number)
        parts.append((scored.rows, scored.target, y_proba, fold))
        f1 = _by_fold(au_f1_score, scored.target, y_proba, fold - number)
        changes.say(f"F1 {f1.mean():.1f}")
    rows, target, y_proba, fold = map(np.concatenate, zip(*parts, strict=True))
    order = np.argsort(rows)
    of_all = {"y_true": target[order], "y_proba": y_proba[order], "fold": fold[order]}
    return {
        **of_all,
        "f1": _by_fold(au_f1_score, *of_all.values()),
        "accuracy": _by_fold(au_accuracy_score, *of_all.values()),
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
