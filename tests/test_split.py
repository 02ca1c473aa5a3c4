"""Folds of subjects: nobody on both sides, AUs in balance, clear refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate

from skfau import Faces
from skfau.exceptions import MissingColumnError
from skfau.metrics import f1_scorer
from skfau.model_selection import SubjectKFold, subject_train_test_split
from tests._midpoint import MidpointClassifier, draw_faces


def cohort(n_subjects=41, n_aus=12, seed=0, unknown=0.0):
    """Subjects that differ in length and in how often they show each AU."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1, 0.5, n_aus) + rng.normal(0, 1, (n_subjects, n_aus))
    subjects = np.repeat(np.arange(n_subjects), rng.integers(60, 80, n_subjects))
    y = rng.random((len(subjects), n_aus)) < 1 / (1 + np.exp(-logit[subjects]))
    y = y.astype(np.float32)
    hidden = rng.random((n_subjects, n_aus)) < unknown
    y[hidden[subjects]] = np.nan
    return subjects, y


def rate_spread(folds, y):
    """Worst relative deviation of a fold's AU rate from the overall rate."""
    rates = np.array([np.nanmean(y[folds == k], axis=0) for k in np.unique(folds)])
    return np.abs(rates / np.nanmean(y, axis=0) - 1).max()


@settings(max_examples=40)
@given(
    n_subjects=st.integers(2, 14),
    n_splits=st.integers(2, 5),
    seed=st.integers(0, 999),
    labelled=st.booleans(),
)
def test_folds_part_the_rows_by_subject(n_subjects, n_splits, seed, labelled):
    n_splits = min(n_splits, n_subjects)
    rng = np.random.default_rng(seed)
    extra = rng.integers(0, n_subjects, 30)
    subjects = rng.permutation(np.append(np.arange(n_subjects), extra))
    y = rng.choice([0, 1, np.nan], (len(subjects), 3)) if labelled else None
    splitter = SubjectKFold(n_splits, random_state=seed)
    splits = list(splitter.split(subjects, y, groups=subjects))
    assert len(splits) == splitter.get_n_splits() == n_splits
    for train, test in splits:
        assert not set(subjects[train]) & set(subjects[test])
        assert len(test)
    tested = np.concatenate([test for _, test in splits])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(subjects)))


def test_folds_are_better_balanced_than_group_k_fold():
    subjects, y = cohort()
    groups = np.empty(len(y), dtype=int)
    for k, (_, test) in enumerate(GroupKFold(3).split(y, groups=subjects)):
        groups[test] = k
    folds = SubjectKFold().test_folds(subjects, y, groups=subjects)
    assert rate_spread(folds, y) < 0.1 < rate_spread(groups, y)
    assert np.abs(np.bincount(folds) / len(folds) - 1 / 3).max() < 0.02


def test_known_entries_are_shared_out_where_aus_are_unknown():
    subjects, y = cohort(unknown=0.3, seed=1)
    folds = SubjectKFold().test_folds(subjects, y, groups=subjects)
    assert rate_spread(folds, y) < 0.2
    assert rate_spread(folds, (~np.isnan(y)).astype(float)) < 0.15


def test_without_balance_only_rows_are_evened_out():
    subjects, y = cohort()
    plain = SubjectKFold(balance=False).test_folds(subjects, y, groups=subjects)
    unlabelled = SubjectKFold().test_folds(subjects, groups=subjects)
    np.testing.assert_array_equal(plain, unlabelled)
    assert np.ptp(np.bincount(plain)) <= 2


def imbalance(folds, targets, subjects, y):
    """Squared distance from the wanted shares of rows, positives and known entries."""
    known, rows = ~np.isnan(y), np.ones((len(y), 1))
    shares = [z / z.sum(axis=0) for z in (rows, np.nan_to_num(y), known)]
    size, positive, entries = (
        np.array([share[folds[subjects] == k].sum(axis=0) for k in range(len(targets))])
        for share in shares
    )
    wanted = np.array(targets)[:, None]
    terms = [2 * (size - wanted), positive - entries, entries - size]
    return sum(np.sum(term**2) for term in terms)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("targets", [(1 / 3, 1 / 3, 1 / 3), (0.7, 0.3)])
def test_no_single_move_or_exchange_improves_the_folds(targets, seed):
    n_subjects = 16
    subjects, y = cohort(n_subjects, n_aus=4, seed=seed, unknown=0.1)
    first_row = np.unique(subjects, return_index=True)[1]
    if len(targets) == 3:
        folds = SubjectKFold(3).test_folds(y, y, groups=subjects)[first_row]
    else:
        _, test = subject_train_test_split(subjects, y, test_fraction=targets[1])
        folds = np.isin(first_row, test).astype(int)
    others = [
        np.where(np.arange(n_subjects) == i, k, folds)
        for i in range(n_subjects)
        for k in range(len(targets))
    ]
    for i in range(n_subjects):
        for j in range(i):
            swapped = folds.copy()
            swapped[[i, j]] = folds[[j, i]]
            others.append(swapped)
    best = min(imbalance(other, targets, subjects, y) for other in others)
    assert imbalance(folds, targets, subjects, y) <= best + 1e-12


def test_many_subjects_are_dealt_quickly_and_evenly():
    rng = np.random.default_rng(0)
    y = (rng.random((3000, 3)) < [0.1, 0.3, 0.5]).astype(float)
    folds = SubjectKFold(5).test_folds(y, y, groups=np.arange(3000))
    assert rate_spread(folds, y) < 0.02


def test_seed_fixes_the_folds_and_global_state_is_left_alone():
    subjects, y = cohort()

    def folds(state):
        return SubjectKFold(random_state=state).test_folds(y, y, subjects).tolist()

    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert folds(None) == folds(None)
    assert folds(5) == folds(5) != folds(6)
    assert folds(np.random.default_rng(5)) == folds(5)
    folds(np.random.RandomState(5))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_nested_search_needs_no_groups():
    faces, y = draw_faces(unknown=0.1)
    search = GridSearchCV(
        MidpointClassifier(),
        {"slope": [1.0, 8.0]},
        cv=SubjectKFold(2),
        scoring=f1_scorer,
        error_score="raise",
    )
    result = cross_validate(
        search, faces, y, cv=SubjectKFold(3), scoring=f1_scorer, error_score="raise"
    )
    assert np.isfinite(result["test_score"]).all()


def test_splitter_is_shown_and_cloned_with_its_parameters():
    splitter = SubjectKFold(5, balance=False, random_state=3)
    expected = "SubjectKFold(balance=False, n_splits=5, random_state=3)"
    assert repr(splitter) == expected
    assert repr(clone(splitter, safe=False)) == expected


def test_unknown_subjects_are_refused():
    faces, y = draw_faces()
    with pytest.raises(MissingColumnError, match=r"with_columns\(subject=\.\.\.\)"):
        list(SubjectKFold().split(faces.with_columns(subject=None), y))
    with pytest.raises(MissingColumnError, match=r"1 rows have no subject.*row 2"):
        list(SubjectKFold(2).split(np.zeros(4), groups=["a", "b", None, "b"]))
    gap = pd.array(["a", "b", None, "b"], dtype="string")
    with pytest.raises(MissingColumnError, match=r"1 rows have no subject.*row 2"):
        SubjectKFold(2).test_folds(np.zeros(4), groups=gap)


@pytest.mark.parametrize(
    ("n_labels", "groups", "match"),
    [
        (6, ["a", "b", "c"], r"inconsistent numbers of samples: \[6, 3\]"),
        (3, ["a", "b", "c"] * 2, r"inconsistent numbers of samples: \[6, 3\]"),
        (6, [["a"], ["b"], ["c"]] * 2, r"1-D array, got shape \(6, 1\)"),
    ],
)
def test_folds_are_of_all_rows(n_labels, groups, match):
    with pytest.raises(ValueError, match=match):
        SubjectKFold(2).test_folds(np.zeros(6), np.zeros((n_labels, 2)), groups)


def test_subjects_may_be_named_by_numbers_and_text():
    groups = np.array([1, "1", 2, "b"] * 2, object)
    folds = SubjectKFold(3).test_folds(np.zeros(8), groups=groups)
    assert folds[0] == folds[1] and sorted(folds[[0, 2, 3]]) == [0, 1, 2]


def test_too_few_subjects_are_refused():
    faces, _ = draw_faces(n_subjects=1)
    with pytest.raises(ValueError, match=r"3 folds need at least.*got 1 \(s0\)"):
        list(SubjectKFold().split(faces))
    with pytest.raises(ValueError, match="n_splits must be at least 2"):
        list(SubjectKFold(1).split(faces))
    with pytest.raises(ValueError, match="at least 2 subjects, got 1"):
        subject_train_test_split(faces)


@settings(max_examples=40)
@given(
    n_subjects=st.integers(2, 12),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 999),
)
def test_train_and_test_are_whole_subjects(n_subjects, fraction, seed):
    faces, y = draw_faces(n_subjects, n_frames=3, seed=seed)
    train, test = subject_train_test_split(
        faces, y, test_fraction=fraction, random_state=seed
    )
    assert len(train)
    assert len(test)
    assert not set(faces.subject[train]) & set(faces.subject[test])
    together = np.sort(np.concatenate([train, test]))
    np.testing.assert_array_equal(together, np.arange(len(faces)))


def test_train_test_split_keeps_fraction_and_rates():
    subjects, y = cohort()
    _, test = subject_train_test_split(subjects, y)
    assert abs(len(test) / len(y) - 0.2) < 0.03
    assert rate_spread(np.isin(np.arange(len(y)), test), y) < 0.2
    again = subject_train_test_split(
        Faces(np.zeros((len(y), 1, 1, 3), "uint8"), subject=subjects), y
    )
    np.testing.assert_array_equal(again[1], test)
    other = subject_train_test_split(subjects, y, random_state=1)
    assert set(other[1]) != set(test)


def test_train_test_split_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"test_fraction must be in \(0, 1\)"):
        subject_train_test_split(["a", "b"], test_fraction=1)
    with pytest.raises(MissingColumnError, match="who is in which row"):
        subject_train_test_split(np.zeros((4, 2, 2, 3), dtype=np.uint8))
