"""The tables of the documentation say what package and benchmarks say."""

import csv
import importlib.util
import re
from pathlib import Path

import pytest

from skfau.datasets import published_results

DOCS = Path(__file__).parents[1] / "docs"
spec = importlib.util.spec_from_file_location("doc_tables", DOCS / "tables.py")
doc_tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(doc_tables)


@pytest.mark.parametrize(("name", "rows"), doc_tables.tables().items())
def test_tables_of_the_pages_are_up_to_date(name, rows):
    """Otherwise run docs/tables.py."""
    with (DOCS / "figures" / name).open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [[str(cell) for cell in row] for row in rows]


def test_every_table_is_in_a_page_and_every_page_has_its_tables():
    pages = "".join(path.read_text("utf-8") for path in DOCS.rglob("*.rst"))
    included = set(re.findall(r":file: (?:\.\./)?figures/(\S+)", pages))
    assert included == {path.name for path in (DOCS / "figures").glob("*.csv")}


def test_what_the_rendered_table_quotes_is_in_print():
    printed = set(published_results("bp4d").data["mean"].tolist())
    quoted = {float(row["Paper"]) for row in doc_tables.rendered() if row["Paper"]}
    assert quoted
    assert quoted <= printed


def test_the_rendered_table_and_the_pages_quote_the_same_figure_of_a_system():
    of_all = {row["System"]: row["Paper"] for row in doc_tables.rendered()}
    for _, ours in doc_tables.PAGES.values():
        _, *rows = doc_tables.beside_ours(ours)
        assert {row[0]: row[-1] for row in rows}.items() <= of_all.items()


@pytest.mark.parametrize(
    ("page", "told", "row"),
    [
        ("start.rst", "AUC) is .91 and its mean F1 .68", r"mean +0\.91 +0\.68 "),
        (
            "start.rst",
            ".681, where MediaPipe's blendshapes have .656",
            r"\.681,\s+where",
        ),
        ("facs.rst", "darker and lighter skin (AUC .91 and .90)", r"darker .* 0\.91 "),
        ("facs.rst", "with glasses F1 falls from .69 to .58", r"\nglasses .* 0\.58\n"),
        ("facs.rst", "AU5 and AU7", "AU5 and AU7, a pixel or two"),
    ],
)
def test_pages_quote_the_model_card(page, told, row):
    card = DOCS.parent / "skfau" / "estimators" / "_trained" / "MODEL_CARD.rst"
    assert told in " ".join((DOCS / page).read_text("utf-8").split())
    assert re.search(row, card.read_text("utf-8"))


def test_no_network_from_random_weights_reaches_the_classical_chain():
    """The page of the systems says so."""
    area = {(row["System"], row["Start"]): row["AUC"] for row in doc_tables.rendered()}
    classical = float(area.pop(("HOG", "random")))
    assert all(float(a) < classical for (_, at), a in area.items() if at == "random")


def test_no_system_is_ahead_of_the_plain_backbone_by_a_hundredth():
    """The page of the systems says so."""
    rows = [row for row in doc_tables.rendered() if row["Start"] == "rendered"]
    told = [row["AUC less ResNet"].split() for row in rows]
    ahead = [float(words[0]) for words in told if words]
    assert ahead
    assert max(ahead) < 0.01


def test_seeds_differ_more_than_the_rows_of_aunet_on_films():
    """The page of AUNet says so, beside what is printed."""
    rows = {row["System"]: row for row in doc_tables.rendered("films.csv")}
    names = ["AU-FAN", "AU-VAE", "AU-TDN", "AUNet"]
    means = [float(rows[name]["AUC"]) for name in names]
    seeds = [[*map(float, rows[name]["AUC of seeds"].split())] for name in names]
    assert max(means) - min(means) < max(max(each) - min(each) for each in seeds)
    published = published_results("bp4d").data
    printed = published[published["kind"] == "mixture"]
    assert [printed["mean"][printed["method"] == name][0] for name in names] == [
        62.7,
        63.3,
        64.9,
        65.5,
    ]


def test_after_18_epochs_networks_from_random_weights_are_ahead_of_the_chain():
    """The page of the systems says so."""
    rows = doc_tables.rendered("rendered_18_epochs.csv")
    area = {row["System"]: float(row["AUC"]) for row in rows}
    order = sorted(area, key=area.get, reverse=True)
    assert len(order) == 6
    assert order[0] == "FAU-Transformer"
    assert order[4] == "HOG"


def test_from_random_weights_branches_and_landmarks_are_ahead_of_the_plain_backbone():
    """The pages of the systems and of FAU-Transformer say so, and by how much."""
    rows = [row for row in doc_tables.rendered() if row["Start"] == "random"]
    told = {row["System"]: row["AUC less ResNet"].split() for row in rows}
    by = {name: float(words[0]) for name, words in told.items() if words}
    ahead = {name: more for name, more in by.items() if more > 0.01}
    own = {"FAU-Transformer", "FAU w/o encoder", "FAU w/o attention"}
    assert ahead.keys() == own | {"JAA-Net", "HOG", "landmarks"}
    assert min(ahead[name] for name in own) >= 0.05
