"""What each paper reports that it did on each data set."""

import textwrap
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from skfau.facs import DATASET_AUS

_WIDTH = 88
# What a file need not say.
_DEFAULTS = {
    **dict.fromkeys(("parameters", "loader", "train", "test"), MappingProxyType({})),
    **dict.fromkeys(("aligner", "folds", "n_scored", "table"), None),
    **dict.fromkeys(("pretrained_on", "different", "silent"), ()),
    "every": 1,
    "source": "",
}


@dataclass(frozen=True)
class Protocol:
    """How one system was evaluated on one data set; ``print`` it.

    Attributes
    ----------
    system, experiment : str
        Its key in `PROTOCOLS`, as in `run`.
    title : str
        Name of the system in its paper.
    dataset : str
        Data set that is scored.
    estimator : str
        Class in `skfau.estimators`.
    parameters : dict
        Where the paper's experiment differs from the defaults of the class.
    aligner : dict or None
        Parameters of `skfau.preprocessing.FaceAligner`; None takes faces as delivered.
    loader : dict
        Parameters of the data set's loader: ``threshold``.
    folds : str, int or None
        Data set of the published partition, or a number of subject folds. None has no
        folds, but `train` and `test`.
    train, test : dict
        Parameters of the loader for the rows that are learned, and those that are
        scored.
    n_scored : int or None
        Faces that the whole data set has to score, if that is known.
    every : int
        Every so many-th frame of a video is learned.
    pretrained_on : tuple of str
        Experiments of the same system whose weights the training starts from, in
        their order.
    table : tuple of (str, str, str) or None
        Paper, table and method in `skfau.datasets.published_results`; None if no
        figures are published.
    source : str
        Paper and table of the published figures, or "".
    different : tuple of str
        What the paper, or released code, does and is known to be done otherwise here.
    silent : tuple of str
        What the paper does not say, or could not be read, and what is done here.
    """

    system: str
    experiment: str
    title: str
    dataset: str
    estimator: str
    parameters: dict
    aligner: dict | None
    loader: dict
    folds: str | int | None
    train: dict
    test: dict
    n_scored: int | None
    every: int
    pretrained_on: tuple
    table: tuple | None
    source: str
    different: tuple
    silent: tuple

    @property
    def aus(self):
        """AUs of the table, in the order of the columns."""
        return DATASET_AUS[self.dataset]

    @property
    def stages(self):
        """Experiments that are trained one after the other, the scored one last."""
        return (*self.pretrained_on, self.experiment)

    def notes(self):
        """Return what is different and what the paper does not say, as text.

        Returns
        -------
        notes : str
            Lines of at most 88 characters.
        """
        parts = {
            "Known to differ from the paper or the released code": self.different,
            "Not published or not read, and chosen here": self.silent,
        }
        lines = []
        for title, sentences in parts.items():
            lines += [f"{title}:"] if sentences else []
            lines += [filled(f"- {sentence}") for sentence in sentences]
        return "\n".join(lines)

    def __str__(self):
        align = "Faces as delivered."
        if self.aligner is not None:
            align = _call("FaceAligner", self.aligner)
        facts = [
            f"{self.title} on {self.dataset}: "
            f'protocols.run("{self.system}", "{self.experiment}", ...)',
            align,
            _call(self.estimator, self.parameters),
            *([f"Stages: {', '.join(self.stages)}."] if self.pretrained_on else []),
            self._scored(),
            f"Published: {self.source}." if self.source else NO_FIGURES,
        ]
        return "\n".join([*(filled(fact) for fact in facts), self.notes()])

    def _scored(self):
        """Return what is learned and what is scored, as a sentence."""
        every = f"every {self.every}th frame of " if self.every > 1 else ""
        if self.folds is None:
            parts = (_call(self.dataset, part) for part in (self.train, self.test))
            return "Learns {}{}, is scored on {}.".format(every, *parts)
        kind = "3 published" if isinstance(self.folds, str) else f"{self.folds}"
        return f"Learns {every}two of {kind} folds of subjects, is scored on the other."


NO_FIGURES = "No figures are published."


def filled(text):
    """Return text in lines of at most 88 characters, all but the first indented."""
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _call(name, parameters):
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in parameters.items())})"


def _read_all():
    """Return the protocols of all files of the folder ``papers``, by key."""
    here = files("skfau.protocols")
    common = tomllib.loads((here / "common.toml").read_text("utf-8"))
    protocols = {}
    for path in sorted((here / "papers").iterdir(), key=lambda p: p.name):
        paper = tomllib.loads(path.read_text("utf-8"))
        for system, facts in paper.pop("systems").items():
            for experiment, row in facts.pop("on").items():
                dataset = row.get("dataset", experiment)
                key = {"system": system, "experiment": experiment, "dataset": dataset}
                levels = (paper, facts, row, common["datasets"][dataset])
                general = {"silent": common["silent"]}
                merged = _merge(key, *levels, general)
                protocols[system, experiment] = _protocol(merged, common["papers"])
    return protocols


def _merge(*levels):
    """Join lists and tables of all levels; of other values the last one counts."""
    merged = {}
    for name, value in (item for level in levels for item in level.items()):
        if isinstance(value, list):
            value = (*merged.get(name, ()), *value)
        elif isinstance(value, dict):
            value = {**merged.get(name, {}), **value}
        merged[name] = value
    return merged


def _protocol(facts, papers):
    """Return the protocol of merged facts; `papers` cites papers by their names."""
    method = facts.pop("method", facts["title"])
    if "table" in facts:
        paper, number = facts["table"].split()
        facts["table"] = (paper, number, method)
        facts["source"] = f"{papers[paper]}, Table {number}"
    if "pretrained_on" in facts:
        first = " and of ".join(facts["pretrained_on"])
        seen = f"The network that is fine-tuned has seen all subjects of {first}."
        facts["silent"] = (seen, *facts["silent"])
    return Protocol(**{**_DEFAULTS, **facts})


#: The protocols that `run` knows, by (system, experiment).
PROTOCOLS = MappingProxyType(_read_all())
