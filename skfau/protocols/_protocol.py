"""What each paper reports that it did on each data set."""

from __future__ import annotations

import textwrap
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from skfau.facs import DATASET_AUS

_WIDTH = 88
# What a file need not say.
_DEFAULTS = {
    "parameters": MappingProxyType({}),
    "aligner": None,
    "every": 1,
    "pretrained_on": (),
    "table": None,
    "source": "",
    "different": (),
}


@dataclass(frozen=True)
class DataSet:
    """How papers divide a data set into what is learned and what is scored.

    Attributes
    ----------
    name : str
        Its name in `skfau.facs.DATASET_AUS`.
    load : str
        Its loader in `skfau.datasets`, without ``load_``.
    loader : dict
        Parameters of the loader, such as ``threshold``.
    folds : str, int or None
        Data set of the published partition, or a number of subject folds. None has no
        folds, but `train` and `test`.
    train, test : dict
        Parameters of the loader for the rows that are learned, and those that are
        scored.
    n_scored : int or None
        Faces that the whole data set has to score, if that is known.
    """

    name: str
    load: str
    loader: dict
    folds: str | int | None
    train: dict
    test: dict
    n_scored: int | None


@dataclass(frozen=True)
class Protocol:
    """How one system was evaluated on one data set; ``print`` it.

    Attributes
    ----------
    system, experiment : str
        Its key in `PROTOCOLS`, as in `run`.
    title : str
        Name of the system in its paper.
    data : DataSet
        Data set that is scored.
    learned : tuple of DataSet
        Data sets that are learned together; `data` alone in most protocols.
    learned_aus : tuple of int
        AUs that the network learns.
    estimator : str
        Class in `skfau.estimators`.
    parameters : dict
        Where the paper's experiment differs from the defaults of the class.
    aligner : dict or None
        Parameters of `skfau.preprocessing.FaceAligner`; None takes faces as delivered.
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
    data: DataSet
    learned: tuple
    learned_aus: tuple
    estimator: str
    parameters: dict
    aligner: dict | None
    every: int
    pretrained_on: tuple
    table: tuple | None
    source: str
    different: tuple
    silent: tuple

    @property
    def name(self) -> str:
        """Title, and the row of the table if that is another."""
        row = self.table[2] if self.table else self.title
        return row if row.startswith(self.title) else f"{self.title}, {row},"

    @property
    def dataset(self) -> str:
        """Name of the data set that is scored."""
        return self.data.name

    @property
    def aus(self) -> tuple[int, ...]:
        """AUs of the table, in the order of the columns."""
        scored = DATASET_AUS[self.dataset]
        return tuple(au for au in scored if au in self.learned_aus)

    @property
    def stages(self) -> tuple[str, ...]:
        """Experiments that are trained one after the other, the scored one last."""
        return (*self.pretrained_on, self.experiment)

    def notes(self) -> str:
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
            f"{self.name} on {self.dataset}: "
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
        every, data = "", self.data
        if self.every > 1:
            every = f"every {self.every}th frame of "
        if self.learned != (data,):
            names = ", ".join(part.name for part in self.learned)
            return f"Learns {every}{names} together, is scored on {data.name}."
        if data.folds is None:
            parts = (_call(data.name, part) for part in (data.train, data.test))
            return "Learns {}{}, is scored on {}.".format(every, *parts)
        kind = "3 published" if isinstance(data.folds, str) else f"{data.folds}"
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
        shared = paper.pop("experiments", {})
        for system, facts in paper.pop("systems").items():
            for experiment, row in facts.pop("on").items():
                key = {"system": system, "experiment": experiment}
                dataset, _, method = experiment.partition(" ")
                name = {"dataset": dataset, "method": method or facts["title"]}
                levels = (name, paper, facts, shared.get(experiment, {}), row)
                protocols[system, experiment] = _protocol(key, levels, common)
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


def _protocol(key, levels, common):
    """Return the protocol of a row, of its system and of its paper."""
    facts = _merge(*levels)
    dataset, method = facts.pop("dataset"), facts.pop("method")
    learned = facts.pop("learned", (dataset,))
    for name in facts.pop("none", ()):
        facts["parameters"][name] = None
    facts["data"] = _data_set(dataset, common)
    facts["learned"] = tuple(_data_set(name, common) for name in learned)
    facts.setdefault("learned_aus", sum((DATASET_AUS[name] for name in learned), ()))
    if "table" in facts:
        paper, number = facts["table"].split()
        facts["table"] = (paper, number, method)
        place = "Section" if "." in number else "Table"
        facts["source"] = f"{common['papers'][paper]}, {place} {number}"
    silent = facts.get("silent", ())
    if "pretrained_on" in facts:
        first = " and of ".join(facts["pretrained_on"])
        seen = f"The network that is fine-tuned has seen all subjects of {first}."
        silent = (seen, *silent)
    notes = (common["datasets"][name].get("silent", ()) for name in learned)
    facts["silent"] = (*silent, *dict.fromkeys(sum(map(tuple, notes), ())))
    facts["silent"] += tuple(common["silent"])
    return Protocol(**{**_DEFAULTS, **key, **facts})


def _data_set(name, common):
    facts = {"name": name, "load": name, **common["datasets"][name]}
    facts.pop("silent", None)
    empty = {"loader": {}, "train": {}, "test": {}, "folds": None, "n_scored": None}
    return DataSet(**{**empty, **facts})


#: The protocols that `run` knows, by (system, experiment).
PROTOCOLS = MappingProxyType(_read_all())
