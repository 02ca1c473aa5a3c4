"""AUs without a label are kept by a fit that starts from a classifier that knows them.

So a chain of data sets, of which each codes other AUs, loses none of them.
"""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.frozen import FrozenEstimator

from skfau import load
from skfau.estimators import FAUTransformerClassifier, landmark_baseline
from skfau.estimators._aus import class_weights
from skfau.exceptions import LabelError
from skfau.losses import soft_balance_weights
from skfau.metrics import au_f1_score
from skfau.model_selection import AUThresholdClassifier, CalibratedAUClassifier
from tests.small import CLASSIFIERS, make_small

pytestmark = pytest.mark.filterwarnings("ignore:The F1 score is undefined")
UNTAUGHT = [2, 5]


def without(labels, columns=UNTAUGHT):
    labels = labels.copy()
    labels[:, columns] = np.nan
    return labels


@pytest.fixture(scope="module")
def source(made):
    return make_small(FAUTransformerClassifier).fit(made.data, made.target)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_every_classifier_keeps_aus_without_labels(cls, made, tmp_path):
    faces, labels = made.data[::4], made.target[::4]
    first = make_small(cls, max_epochs=1).fit(faces, labels)
    clf = make_small(cls, init_from=first, max_epochs=1).fit(faces, without(labels))
    assert clf.aus_ == first.aus_
    assert (clf.label_counts_[:, UNTAUGHT] == 0).all()
    assert (np.delete(clf.label_counts_, UNTAUGHT, axis=1) > 0).all()
    proba = clf.predict_proba(faces)
    assert np.isfinite(proba).all() and np.isfinite(clf.history_[0]["train_loss"])
    clf.save(tmp_path / "clf")
    np.testing.assert_array_equal(load(tmp_path / "clf").predict_proba(faces), proba)


def test_a_fit_that_goes_on_keeps_them_too(made, source):
    labels = without(made.target)
    clf = copy.deepcopy(source).partial_fit(made.data, labels)
    assert np.isfinite(clf.predict_proba(made.data)).all()
    clf.set_params(warm_start=True, max_epochs=1).fit(made.data, labels)
    assert (clf.label_counts_[:, UNTAUGHT] == 0).all()
    assert np.isfinite(clf.predict_proba(made.data)).all()


def test_a_chain_of_data_sets_keeps_what_the_middle_one_lacks(made, source, tmp_path):
    """All weights of the middle fit are those of the first: its steps are tiny."""
    source.save(tmp_path / "first")
    middle = make_small(FAUTransformerClassifier, init_from=tmp_path / "first", lr=1e-9)
    of_all = pd.DataFrame(made.target, columns=[f"AU{au}" for au in made.aus])
    coded = of_all.drop(columns=of_all.columns[UNTAUGHT])
    middle.fit(made.data, coded.reindex(columns=of_all.columns))
    last = make_small(
        FAUTransformerClassifier,
        aus=tuple(made.aus[i] for i in UNTAUGHT),
        init_from=middle,
        lr=1e-9,
    ).fit(made.data, made.target[:, UNTAUGHT])
    was, now = source.network_state(), last.network_state()
    n_aus, embed = len(made.aus), "branches.embed.weight"
    np.testing.assert_allclose(now[embed], was[embed][UNTAUGHT], atol=1e-6)
    np.testing.assert_array_equal(middle.transferred_["aus"], made.aus)
    centers = [c.net_.criterion_.center_loss.centers for c in (source, middle)]
    assert centers[0].shape[0] == n_aus
    # Nothing moves the centre of an AU that is never seen.
    torch.testing.assert_close(centers[1][UNTAUGHT], centers[0][UNTAUGHT])
    assert not torch.allclose(centers[1], centers[0])


def test_labels_of_nobody_neither_weigh_nor_train(made):
    positive, known = np.array([[5, 0, 20], [100, 0, 100]])
    weights = class_weights("soft_balance", np.stack([positive, known]))
    assert weights[1] == 0
    torch.testing.assert_close(weights[[0, 2]], soft_balance_weights([5, 20]))
    rates = class_weights("inverse_rate", np.stack([positive, known]))
    torch.testing.assert_close(rates, torch.tensor([1.6, 0.0, 0.4]))
    assert class_weights(None, np.stack([positive, known])) is None


def test_without_a_classifier_that_knows_the_au_it_is_an_error(made, source):
    cls, labels = FAUTransformerClassifier, without(made.target)
    known = tuple(au for i, au in enumerate(made.aus) if i not in UNTAUGHT)
    fewer = make_small(cls, aus=known, max_epochs=1)
    fewer.fit(made.data, np.delete(made.target, UNTAUGHT, axis=1))
    for start in (None, fewer):
        with pytest.raises(LabelError, match=r"of AU4, AU10 is NaN.*init_from="):
            make_small(cls, init_from=start).fit(made.data, labels)
    with pytest.raises(LabelError, match=r"label of AU1, AU2, .* is NaN"):
        nothing = np.full_like(labels, np.nan)
        make_small(cls, init_from=source).fit(made.data, nothing)
    with pytest.raises(LabelError, match=r"is NaN; .*Leave it out of y and aus\.$"):
        landmark_baseline().fit(made.data, labels)


def test_a_branch_of_another_shape_cannot_be_kept(made, source):
    other = make_small(FAUTransformerClassifier, init_from=source, embedding_dim=8)
    with pytest.raises(LabelError, match="AU4, AU10 is NaN, and init_from is of ano"):
        other.fit(made.data, without(made.target))
    # Where labels teach them, new branches are no fault.
    other.set_params(max_epochs=1).fit(made.data, made.target)


def test_early_stopping_scores_the_aus_that_have_labels(made, source):
    clf = make_small(FAUTransformerClassifier, init_from=source, early_stopping=True)
    clf.fit(made.data, without(made.target))
    assert all(0 <= row["valid_f1"] <= 1 for row in clf.history_)
    taught = np.delete(np.arange(len(made.aus)), UNTAUGHT)
    with pytest.warns(UserWarning):
        score = clf.score(made.data, without(made.target))
    predicted = clf.predict(made.data)
    of_taught = au_f1_score(made.target[:, taught], predicted[:, taught])
    assert score == pytest.approx(of_taught, abs=1e-12)


def test_thresholds_and_calibration_leave_them_as_they_are(made, source):
    start = make_small(FAUTransformerClassifier, init_from=source, max_epochs=1)
    labels = without(made.target)
    clf = AUThresholdClassifier(start).fit(made.data, labels)
    assert (clf.thresholds_[UNTAUGHT] == 0.5).all()
    assert np.isfinite(clf.predict(made.data)).all()
    calibrated = CalibratedAUClassifier(FrozenEstimator(source))
    calibrated.fit(made.data, labels)
    assert np.isfinite(calibrated.predict_proba(made.data)).all()
