"""A paper's protocol end to end: its folds, its averaging, its figures beside ours."""

import numpy as np
import pytest

from skfau import Faces, estimators, protocols
from skfau.datasets import load_bp4d, published_folds
from skfau.facs import DATASET_AUS
from skfau.metrics import fold_mean_f1
from skfau.preprocessing import FaceAligner
from skfau.protocols import PROTOCOLS
from tests.trees import write_bp4d, write_disfa, write_image, write_points

pytestmark = [
    pytest.mark.filterwarnings("ignore::skfau.exceptions.DatasetWarning"),
    pytest.mark.filterwarnings("ignore::skfau.exceptions.MissingFaceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning"),
]
SUBJECTS = [name for part in published_folds("bp4d") for name in part[:2]]


class Recorder:
    """Stands in for an estimator: remembers its fits, predicts by subject."""

    fits = []

    def __init__(self, **parameters):
        self.parameters = parameters

    def fit(self, X, y):
        self.fits.append((self.parameters, sorted(set(X.subject)), y.shape))
        return self

    def predict_proba(self, X):
        n_aus = len(self.parameters["aus"])
        odd = np.array([int(name[-1]) % 2 for name in X.subject])
        return np.repeat(odd[:, None], n_aus, axis=1).astype(np.float32)


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.setattr(Recorder, "fits", [])
    for name in {p.estimator for p in PROTOCOLS.values()}:
        monkeypatch.setattr(estimators, name, Recorder)
    # Faces are not looked at.
    monkeypatch.setattr(FaceAligner, "fit_transform", lambda self, X: X)
    return Recorder


def write_six_subjects(root, aus):
    rng = np.random.default_rng(0)
    for subject in SUBJECTS:
        rows = {f: {au: int(rng.integers(2)) for au in aus} for f in range(1, 9)}
        write_bp4d(root, f"{subject}_T1", range(1, 9), rows)
    return root


@pytest.fixture
def bp4d(tmp_path):
    return write_six_subjects(tmp_path / "bp4d", DATASET_AUS["bp4d"])


@pytest.fixture
def bp4d_plus(tmp_path):
    return write_six_subjects(tmp_path / "bp4d_plus", DATASET_AUS["bp4d_plus"])


@pytest.fixture
def disfa(tmp_path):
    rng = np.random.default_rng(1)
    for subject in [name for part in published_folds("disfa") for name in part[:1]]:
        levels = {au: rng.integers(0, 6, 4) for au in DATASET_AUS["disfa"]}
        write_disfa(tmp_path / "disfa", subject, levels)
        for k in range(4):
            write_image(tmp_path / "disfa" / subject / f"{k}.png")
    return tmp_path / "disfa"


def test_folds_averaging_and_figures_are_the_published_ones(recorder, bp4d):
    result = protocols.run("fau_transformer", "bp4d", bp4d, lr=0.5, random_state=3)
    folds = published_folds("bp4d")
    for (parameters, subjects, _), part in zip(recorder.fits, folds, strict=True):
        assert parameters["weights"] == "imagenet" and parameters["lr"] == 0.5
        assert not set(subjects) & set(part) and len(subjects) == 4
    target = load_bp4d(bp4d).target
    np.testing.assert_array_equal(result.y_true, target)
    predicted = (result.y_proba >= 0.5).astype(float)
    expected = 100 * fold_mean_f1(target, predicted, result.fold, absent="zero")
    assert result.mean_f1 == pytest.approx(expected, abs=1e-9)
    assert result.f1_by_au.mean() == pytest.approx(result.mean_f1)
    printed = repr(result)
    assert "51.7" in printed and "64.2" in printed and "Table 1" in printed
    assert "Not as published: lr=0.5." in printed
    # Of 41 subjects' 8 tasks there is one each of six subjects.
    assert len(result.deviating) == 41 * 8 - 6
    assert "Not the published data: 322 videos" in printed


def test_the_order_of_folds_is_a_choice(recorder, bp4d):
    protocols.run("wsarl", "bp4d", bp4d, numbering="me-graphau")
    first = recorder.fits[0][1]
    assert not set(first) & set(published_folds("bp4d")[2])


def test_disfa_begins_with_weights_from_bp4d(recorder, bp4d, disfa):
    result = protocols.run("fau_transformer", "disfa", disfa, pretrain_root=bp4d)
    (parameters, subjects, shape), *folds = recorder.fits
    assert parameters["aus"] == DATASET_AUS["bp4d"] and "lr" not in parameters
    assert subjects == sorted(SUBJECTS) and shape == (48, 12)
    assert len(folds) == 3
    for parameters, _, _ in folds:
        assert parameters["lr"] == 1e-5
        assert parameters["init_from"].parameters["aus"] == DATASET_AUS["bp4d"]
    assert result.aus == DATASET_AUS["disfa"]


def test_weights_to_begin_with_can_be_given_or_refused(recorder, disfa):
    with pytest.raises(ValueError, match=r"pass pretrain_root=.*init_from=None begins"):
        protocols.run("wsarl", "disfa", disfa)
    protocols.run("wsarl", "disfa", disfa, init_from=None)
    assert len(recorder.fits) == 3


def test_unknown_protocols_are_listed():
    with pytest.raises(ValueError, match="'wsarl' on 'disfa'"):
        protocols.run("wsarl", "emotionet", "nowhere")


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda p: p.source)
def test_every_protocol_can_be_made(protocol):
    model = getattr(estimators, protocol.estimator)(**protocol.parameters)
    assert model.get_params().items() >= protocol.parameters.items()
    faces = Faces(np.zeros((1, 8, 8, 3), np.uint8), landmarks=np.ones((1, 68, 2)))
    FaceAligner(**protocol.aligner).fit(faces)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda p: p.source)
def test_every_protocol_runs_and_has_figures(protocol, recorder, request):
    root = request.getfixturevalue(protocol.dataset)
    result = protocols.run(protocol.system, protocol.dataset, root, init_from=None)
    assert [parameters["aus"] for parameters, _, _ in recorder.fits] == [
        protocol.aus
    ] * 3
    assert result.f1.shape == (3, len(protocol.aus))
    figures = dict(result.published)
    mean = figures.pop("mean")
    assert tuple(figures) == protocol.aus
    # As printed: WSARL's and SEV-Net's tables round to a tenth.
    assert np.mean([*figures.values()]) == pytest.approx(mean, abs=0.11)


def test_prepared_faces_are_kept(bp4d, tmp_path, monkeypatch):
    monkeypatch.setattr(estimators, "WSARLClassifier", Recorder)
    for path in sorted((bp4d / "AUCoding" / "AU_OCC").iterdir()):
        write_points(bp4d / "landmarks68", path.stem, range(1, 9))
    kept, small = tmp_path / "kept", {"output_size": 16}
    first = protocols.run("wsarl", "bp4d", bp4d, prepared=kept, aligner=small)
    assert (kept / "bp4d" / "images.npy").exists()
    again = protocols.run("wsarl", "bp4d", bp4d, prepared=kept, aligner=small)
    np.testing.assert_array_equal(again.y_proba, first.y_proba)
