"""Write the tables of the pages from what the package and the benchmarks say.

    python docs/tables.py

Every table is a CSV file in ``docs/figures`` that a page includes. The rows come from
`skfau.facs`, `skfau.datasets.published_results`, `skfau.protocols`, and
``docs/figures/rendered.csv``, which ``benchmarks/bench_rendered.py --csv`` writes. A
test compares the files with what this script would write.
"""

import csv
from pathlib import Path

import numpy as np

from skfau.datasets import published_results
from skfau.facs import ACTION_UNITS, DATASET_AUS
from skfau.protocols import PROTOCOLS

FIGURES = Path(__file__).parent / "figures"
DATA_SETS = {"bp4d": "BP4D", "disfa": "DISFA", "bp4d_plus": "BP4D+"}
CODED = {
    "BP4D": "bp4d",
    "BP4D+": "bp4d_plus_coded",
    "DISFA": "disfa_coded",
    "EmotioNet": "emotionet_2020",
    "Aff-Wild2": "affwild2",
}
# Rows of a page: the system in its paper, and our rows with their names in the paper.
PAGES = {
    "fau_transformer": (
        "FAU-Transformer",
        {
            "FAU-Transformer": "PT-MT-ATsup-CC-E",
            "FAU w/o encoder": "PT-MT-ATsup-CC",
            "FAU w/o attention": "PT-MT-CC",
        },
    ),
    "wsarl": (
        "WSARL",
        {"WSARL": "WSARL", "SCM-Net": "SCM-Net", "SC-Net": "SC-Net", "B-Net": "B-Net"},
    ),
    "sevnet": ("SEV-Net", {"SEV-Net": "SEV-Net", "SEV-Net w/o text": ""}),
    "aunet": (
        "AUNet",
        {
            "AUNet": "AUNet",
            "AU-TDN": "",
            "AU-VAE": "",
            "AU-FAN": "AU-FAN",
            "ResNet-A": "ResNet18-A",
        },
    ),
    "multi_label_transformer": ("", {"MLT": ""}),
    "others": (
        "",
        {
            "ResNet": "ResNet18",
            "ML-GCN": "",
            "MS-CAM": "",
            "MEGraph": "MEGraph",
            "MEGraph w/o edges": "",
            "DRML": "DRML",
            "EAC-Net": "EAC-Net",
            "JAA-Net": "JÂA-Net",
            "HOG": "",
            "landmarks": "",
        },
    ),
}

# The protocol of a page whose departures it lists.
DEPARTURES = {
    "fau_transformer": ("fau_transformer", "bp4d"),
    "wsarl": ("wsarl", "disfa"),
    "sevnet": ("sevnet", "bp4d"),
    "aunet": ("aunet", "bp4d"),
    "multi_label_transformer": ("multi_label_transformer", "affwild2"),
}


def main():
    """Write all tables."""
    for name, rows in tables().items():
        with (FIGURES / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def tables():
    """Return the rows of every table, the heading first, by the name of its file."""
    made = {"action_units.csv": action_units(), "published.csv": published_means()}
    for page, (source, ours) in PAGES.items():
        made[f"{page}_ours.csv"] = beside_ours(ours)
        if source:
            made[f"{page}_aus.csv"] = by_au(source)
    made["fau_transformer_ablations.csv"] = ablations("FAU-Transformer")
    made["wsarl_ablations.csv"] = ablations("WSARL")
    for page, key in DEPARTURES.items():
        made[f"{page}_departures.csv"] = departures(PROTOCOLS[key])
    return made


def departures(protocol):
    """Return what a protocol does otherwise than its paper, or it does not say."""
    rows = [["Known to differ", text] for text in protocol.different]
    rows += [["Not said in print", text] for text in protocol.silent]
    return [["", "What"], *rows]


def action_units():
    """Return a row per AU: name, muscle, place, sides, and who codes it."""
    rows = [["AU", "Name", "Muscle", "Where", "Sides", "Coded in"]]
    for number, au in ACTION_UNITS.items():
        coded = [name for name, key in CODED.items() if number in all_coded(key)]
        sides = "each alone" if au.bilateral else "together"
        rows.append([number, au.name, au.muscle, au.region, sides, ", ".join(coded)])
    return rows


def all_coded(key):
    """Return the AUs that a data set codes, those of its papers among them."""
    return {*DATASET_AUS[key], *DATASET_AUS.get(key.removesuffix("_coded"), ())}


def published_means():
    """Return a row per method of the comparisons: mean F1, its own before a quoted."""
    data = results()
    methods = dict.fromkeys(data["method"].tolist())
    rows = [["Method", *DATA_SETS.values()]]
    rows += [
        [name, *(mean_of(data, name, each) for each in DATA_SETS)] for name in methods
    ]
    return [rows[0], *sorted(rows[1:], key=lambda row: -float(row[1] or 0))]


def results(kind="comparison"):
    """Return the rows of one kind of tables, those of own experiments first."""
    data = published_results().data
    data = data[data["kind"] == kind]
    return data[np.argsort(data["quoted"], kind="stable")]


def mean_of(data, method, dataset):
    """Return the mean F1 of a method as it is printed, "" where there is none."""
    found = data[(data["method"] == method) & (data["dataset"] == dataset)]
    return f"{found['mean'][0]:.1f}" if len(found) else ""


def by_au(source):
    """Return a row per AU, and the mean, of the F1 of a paper's own methods."""
    data = results()
    data = data[(data["source"] == source) & ~data["quoted"]]
    names = [name for name in data.dtype.names if name.startswith("AU")]
    names = [name for name in names if np.isfinite(data[name]).any()]
    heading = [f"{DATA_SETS[row['dataset']]}: {row['method']}" for row in data]
    rows = [[name, *map(in_percent, data[name])] for name in [*names, "mean"]]
    return [["", *heading], *rows]


def in_percent(value):
    """Return a figure as it is printed, "" where there is none."""
    return f"{value:.1f}" if np.isfinite(value) else ""


def ablations(source):
    """Return the rows of a paper's ablations on BP4D: table, row, mean F1."""
    data = results("ablation")
    data = data[(data["source"] == source) & (data["dataset"] == "bp4d")]
    rows = [[row["table"], row["method"], f"{row['mean']:.1f}"] for row in data]
    return [["Table", "Row", "Mean F1"], *rows]


def beside_ours(names):
    """Return our rows, with the mean F1 that is printed for the same parts on BP4D."""
    heading = ["System", "Start", "F1", "AUC", "AUC less ResNet", "Seeds"]
    rows = [[*heading, "In print, F1 on BP4D"]]
    printed = np.concatenate([results(), results("ablation")])
    for row in rendered():
        if row["System"] in names:
            cells = [row[name] for name in heading[:-1]]
            seeds = len(row["AUC of seeds"].split())
            paper = mean_of(printed, names[row["System"]], "bp4d")
            rows.append([*cells, seeds, paper])
    return rows


def rendered(name="rendered.csv"):
    """Return the rows of a table of ``bench_rendered.py``, text by heading."""
    with (FIGURES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
