"""The published partitions: complete, disjoint, and numbered as their users do."""

import numpy as np
import pytest

from skfau import Faces
from skfau.datasets import published_folds
from skfau.exceptions import MissingColumnError
from skfau.model_selection import PublishedKFold

BP4D = {f"F{k:03}" for k in range(1, 24)} | {f"M{k:03}" for k in range(1, 19)}
DISFA = {f"SN{k:03}" for k in [*range(1, 14), *range(16, 19), 21, *range(23, 33)]}


@pytest.mark.parametrize("numbering", ["jaa", "me-graphau", "au-net"])
@pytest.mark.parametrize(("name", "everyone"), [("bp4d", BP4D), ("disfa", DISFA)])
def test_every_subject_is_tested_once(name, everyone, numbering):
    folds = published_folds(name, numbering)
    subjects = [subject for fold in folds for subject in fold]
    assert len(subjects) == len(set(subjects))
    assert set(subjects) == everyone
    assert {len(fold) for fold in folds} == ({13, 14} if name == "bp4d" else {9})


@pytest.mark.parametrize(
    ("name", "numbering", "parts"),
    [
        ("bp4d", "me-graphau", (3, 2, 1)),
        ("disfa", "me-graphau", (3, 2, 1)),
        ("bp4d", "au-net", (3, 2, 1)),
        ("disfa", "au-net", (1, 2, 3)),
    ],
)
def test_numberings_reorder_the_same_parts(name, numbering, parts):
    jaa = published_folds(name)
    assert published_folds(name, numbering) == tuple(jaa[k - 1] for k in parts)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match=r"'bp4d', 'disfa', numbered as by 'jaa'"):
        published_folds("bp4d+")
    with pytest.raises(ValueError, match="numbering='drml'"):
        PublishedKFold(numbering="drml").get_n_splits()


@pytest.mark.parametrize("numbering", ["jaa", "me-graphau"])
def test_splitter_tests_the_parts_in_order(numbering):
    rng = np.random.default_rng(0)
    subjects = rng.permutation(np.repeat(sorted(DISFA), 3))
    faces = Faces(np.zeros((len(subjects), 1, 1, 3), np.uint8), subject=subjects)
    splitter = PublishedKFold("disfa", numbering)
    tested = [set(subjects[test]) for _, test in splitter.split(faces)]
    assert tested == [set(fold) for fold in published_folds("disfa", numbering)]
    assert splitter.get_n_splits() == 3


def test_case_is_forgiven_and_missing_subjects_are_fine():
    splits = PublishedKFold().split(np.zeros(3), groups=["f001", " m018", "M015"])
    assert [test.tolist() for _, test in splits] == [[0], [1], [2]]


def test_strangers_are_named():
    groups = ["F001", "F003", "F004", "F082", "SN001"]
    with pytest.raises(ValueError, match=r"F082, SN001: not among the 41 subjects"):
        list(PublishedKFold().split(np.zeros(5), groups=groups))


def test_fold_without_rows_is_refused():
    with pytest.raises(ValueError, match=r"no row belongs to fold 2 .*F003, F005"):
        list(PublishedKFold().split(np.zeros(2), groups=["F001", "F004"]))


def test_unknown_subjects_are_refused():
    with pytest.raises(MissingColumnError, match="who is in which row"):
        list(PublishedKFold().split(np.zeros(2)))
