"""A paper's protocol end to end: its folds, its averaging, its figures beside ours."""

import tomllib
from importlib.resources import files

import numpy as np
import pytest
from skorch.callbacks import Callback

from skfau import Faces, estimators, protocols
from skfau.datasets import load_bp4d, published_folds, published_results
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
# Methods of published_results that this library does not have; AU-FAN+TDN is AU-TDN.
NOT_HERE = {
    *("APL", "AR-LSTM", "AU-FAN+FlowNet", "AU-FAN+TDN", "AU-FP", "DSIN"),
    *("FACS2D-Net", "FACS3D-Net", "HMP-PS", "JPML", "LP-Net", "LSVM"),
    *("OF-Net", "SAT-Net", "SRERL"),
}
SUBJECTS = [name for part in published_folds("bp4d") for name in part[:2]]


class Recorder:
    """Stands in for an estimator: remembers its fits, predicts by subject."""

    fits = []

    def __init__(self, **parameters):
        self.parameters = parameters

    def fit(self, X, y):
        subjects = [] if X.subject is None else sorted(set(X.subject))
        self.fits.append((self.parameters, subjects, y.shape))
        return self

    def predict_proba(self, X):
        n_aus = len(self.parameters["aus"])
        subjects = ["1"] * len(X) if X.subject is None else X.subject
        odd = np.array([int(name[-1]) % 2 for name in subjects])
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


# Data sets on disk are read only, and written once.
once = pytest.fixture(scope="module")


@once
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("datasets")


@once
def bp4d(folder):
    return write_six_subjects(folder / "bp4d", DATASET_AUS["bp4d"])


@once
def bp4d_plus(folder):
    return write_six_subjects(folder / "bp4d_plus", DATASET_AUS["bp4d_plus"])


@once
def disfa(folder):
    rng = np.random.default_rng(1)
    for subject in [name for part in published_folds("disfa") for name in part[:1]]:
        levels = {au: rng.integers(0, 6, 4) for au in DATASET_AUS["disfa"]}
        write_disfa(folder / "disfa", subject, levels)
        for k in range(4):
            write_image(folder / "disfa" / subject / f"{k}.png")
    return folder / "disfa"


@once
def emotionet(folder):
    root, aus = folder / "emotionet", DATASET_AUS["emotionet"]
    taught = []
    scored = [",".join(["URL", *(f"'AU {au}'" for au in aus)])]
    for k, code in enumerate("011"):
        write_image(root / "images" / f"A_{k}.jpg")
        write_image(root / "images" / f"M_{k}.jpg")
        taught.append("\t".join([f"h/A_{k}.jpg", "x", *[code] * 60]))
        scored.append(",".join([f"h/M_{k}.jpg", *[code] * len(aus)]))
    (root / "dataFile_0001.txt").write_text("\n".join(taught[:2]) + "\n")
    (root / "manual.csv").write_text("\n".join(scored) + "\n")
    return root


def write_affwild2(root, aus):
    for part, video, n_frames in (("Train_Set", "1", 12), ("Validation_Set", "3", 3)):
        labels = root / "AU_Detection_Challenge" / part
        labels.mkdir(parents=True)
        rows = [[k % 2] * len(aus) for k in range(n_frames)]
        lines = [[f"AU{au}" for au in aus], *rows]
        text = "".join(",".join(map(str, line)) + "\n" for line in lines)
        (labels / f"{video}.txt").write_text(text)
        for k in range(n_frames):
            write_image(root / "cropped_aligned" / video / f"{k + 1:05d}.jpg")
    return root


@once
def affwild2(folder):
    return write_affwild2(folder / "affwild2", DATASET_AUS["affwild2"])


@once
def affwild2_2020(folder):
    return write_affwild2(folder / "affwild2_2020", DATASET_AUS["affwild2_2020"])


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
    accuracy = [
        np.mean(target[result.fold == k] == predicted[result.fold == k], axis=0)
        for k in range(3)
    ]
    np.testing.assert_allclose(result.accuracy, 100 * np.stack(accuracy))
    # Of 41 subjects' 8 tasks there is one each of six subjects.
    assert len(result.deviating) == 41 * 8 - 6
    assert "Not the published data: 322 videos" in printed
    assert max(map(len, printed.splitlines())) <= 88


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


def test_training_begins_with_one_data_set_after_the_other(
    recorder, bp4d, disfa, emotionet
):
    key = "fau_transformer", "emotionet_from_bp4d_and_disfa"
    with pytest.raises(ValueError, match="from 'disfa': pass pretrain_root=, a dict"):
        protocols.run(*key, emotionet, pretrain_root=bp4d)
    roots = {"bp4d": bp4d, "disfa": disfa}
    stages = {"disfa": {"lr": 3e-6}, "bp4d": {"max_epochs": 7}}
    result = protocols.run(
        *key, emotionet, pretrain_root=roots, stages=stages, n_heads=4
    )
    first, second, last = (parameters for parameters, _, _ in recorder.fits)
    assert first["max_epochs"] == 7 and "lr" not in first
    assert "init_from" not in first and second["lr"] == 3e-6
    assert second["init_from"].parameters is first
    # What DISFA lacks is kept: EmotioNet has AU17 of BP4D.
    both = sorted({*DATASET_AUS["bp4d"], *DATASET_AUS["disfa"]})
    assert list(second["aus"]) == both and recorder.fits[1][2] == (12, len(both))
    assert last["init_from"].parameters is second and last["max_epochs"] == 50
    assert [p["n_heads"] for p in (first, second, last)] == [4, 4, 4]
    printed = repr(result)
    assert "Not as published in all stages: n_heads=4." in printed
    assert "Not as published in the stage disfa: lr=3e-06." in printed
    with pytest.raises(ValueError, match="has the stages 'bp4d', 'disfa', 'emotionet_"):
        protocols.run(*key, emotionet, stages={"emotionet": {}})


def test_one_part_is_learned_and_the_other_scored(recorder, emotionet):
    result = protocols.run("fau_transformer", "emotionet", emotionet)
    assert [shape for _, _, shape in recorder.fits] == [(2, 12)]
    np.testing.assert_array_equal(result.y_true[:, 0], [0, 1, 1])
    assert result.mean_f1 == pytest.approx(80) and result.f1.shape == (1, 12)
    assert result.published == {"mean": 45.7}
    assert "Not the published data: 3 faces are scored, of 24,600" in repr(result)
    assert repr(result).startswith("FAU-Transformer, from ImageNet on emotionet, F1")
    # Nothing is printed of single AUs.
    assert repr(result).splitlines()[2].split() == ["1", "80.0", "-", "-"]


def test_several_data_sets_are_learned_together(
    recorder, bp4d, disfa, affwild2_2020, monkeypatch
):
    learned = []
    fit = Recorder.fit
    monkeypatch.setattr(
        Recorder, "fit", lambda self, X, y: learned.append((X, y)) or fit(self, X, y)
    )
    with pytest.raises(
        ValueError, match="a dict of their folders; it lacks disfa, aff"
    ):
        protocols.run("au_vae", "mixture_disfa", {"bp4d": bp4d})
    roots = {"bp4d": bp4d, "disfa": disfa, "affwild2_2020": affwild2_2020}
    result = protocols.run("au_vae", "mixture_disfa", roots)
    (faces, target), *others = learned
    assert not others and recorder.fits[0][0]["aus"] == result.protocol.learned_aus
    # Two of three folds of BP4D and DISFA; all of the training part of Aff-Wild2.
    assert [np.sum(faces.dataset == name) for name in roots] == [32, 8, 12]
    for name in roots:
        known = ~np.isnan(target[faces.dataset == name]).all(axis=0)
        aus = [
            au for au, k in zip(result.protocol.learned_aus, known, strict=True) if k
        ]
        assert aus == [au for au in DATASET_AUS[name] if au != 20]
    third = published_folds("disfa")[2]
    assert not set(faces.subject) & set(third) and len(result.y_true) == 4
    assert result.aus == DATASET_AUS["disfa"] and result.published["mean"] == 69.8
    # Whoever did not learn DISFA is scored on all of it, as far as it knows the AUs.
    result = protocols.run("au_fan", "bp4d_to_disfa", roots)
    assert result.aus == (1, 2, 4, 6, 12) and len(result.y_true) == 12
    assert result.published["mean"] == 35.9 and recorder.fits[-1][2] == (32, 12)


def test_every_so_many_th_frame_of_a_video_is_learned(recorder, bp4d, affwild2):
    result = protocols.run("drml", "bp4d", bp4d, every=3)
    # Frames 1, 4 and 7 of the videos of four subjects; all 48 are scored.
    assert [shape for _, _, shape in recorder.fits] == [(12, 12)] * 3
    assert len(result.y_proba) == 48 and "Not as published: every=3." in repr(result)
    protocols.run("multi_label_transformer", "affwild2", affwild2)
    assert recorder.fits[-1][2] == (3, 12)
    protocols.run("multi_label_transformer", "affwild2", affwild2, every=1)
    assert recorder.fits[-1][2] == (12, 12)


@pytest.mark.parametrize(
    ("system", "dataset"),
    [("multi_label_transformer", "affwild2"), ("fau_transformer", "emotionet")],
)
def test_networks_learn_one_part_and_predict_the_other(
    system, dataset, request, monkeypatch
):
    def with_landmarks(self, X):
        points = np.tile(np.linspace(0, 7, 68)[:, None], (len(X), 1, 2))
        return X.with_columns(landmarks=points)

    monkeypatch.setattr(FaceAligner, "fit_transform", with_landmarks)
    root = request.getfixturevalue(dataset)
    result = protocols.run(
        *(system, dataset, root),
        backbone="tiny",
        weights=None,
        embedding_dim=8,
        image_size=48,
        max_epochs=1,
        random_state=0,
    )
    assert result.y_proba.shape == (3, 12) and np.isfinite(result.y_proba).all()


def test_accuracy_is_printed_where_the_paper_prints_it(recorder, bp4d):
    result = protocols.run("jaanet", "bp4d", bp4d)
    assert result.published_accuracy["mean"] == 78.4
    ours = result.mean_accuracy
    assert (
        f"mean  {ours:.1f}       78.4" in repr(result).split("Accuracy in percent")[1]
    )
    assert "Accuracy" not in repr(protocols.run("sevnet", "bp4d", bp4d))


def test_progress_is_told_on_request_and_to_the_log(recorder, bp4d, capsys, caplog):
    protocols.run("drml", "bp4d", bp4d)
    assert capsys.readouterr().err == ""
    protocols.run("drml", "bp4d", bp4d, verbose=True)
    told = "fold 2: 32 frames to learn, 16 to score"
    assert told in capsys.readouterr().err
    caplog.set_level("INFO", logger="skfau.protocols")
    protocols.run("drml", "bp4d", bp4d)
    assert any(told in message for message in caplog.messages)
    assert {record.name for record in caplog.records} == {"skfau.protocols"}


class Epochs(Callback):
    """Counts epochs, and kills the run in one."""

    seen, last = 0, None

    def on_epoch_begin(self, net, **others):
        if Epochs.seen == Epochs.last:
            raise RuntimeError("killed")
        Epochs.seen += 1


def test_a_killed_run_goes_on_where_it_was(bp4d, tmp_path, monkeypatch):
    monkeypatch.setattr(FaceAligner, "fit_transform", lambda self, X: X)
    settings = {
        "channels": 2,
        "image_size": 66,
        "max_epochs": 2,
        "random_state": 0,
        "callbacks": [Epochs()],
    }

    def run(folder, last):
        monkeypatch.setattr(Epochs, "seen", 0)
        monkeypatch.setattr(Epochs, "last", last)
        return protocols.run(
            "drml", "bp4d", bp4d, checkpoint_dir=tmp_path / folder, **settings
        )

    whole = run("whole", None)
    with pytest.raises(RuntimeError, match="killed"):
        run("killed", 3)
    again = run("killed", None)
    # Three of six epochs were done.
    assert Epochs.seen == 3
    np.testing.assert_array_equal(again.y_proba, whole.y_proba)


def test_weights_to_begin_with_can_be_given_or_refused(recorder, disfa):
    with pytest.raises(ValueError, match=r"pass pretrain_root=.*init_from=None begins"):
        protocols.run("wsarl", "disfa", disfa)
    protocols.run("wsarl", "disfa", disfa, init_from=None)
    assert len(recorder.fits) == 3


def test_what_does_not_exist_is_an_error_before_data_are_read():
    with pytest.raises(ValueError, match="there are 'wsarl' on 'bp4d', 'wsarl' on 'd"):
        protocols.run("wsarl", "emotionet", "nowhere")
    with pytest.raises(ValueError, match=r"there are 'arl', 'aunet', .*'wsarl'$"):
        protocols.run("unknown", "bp4d", "nowhere")
    with pytest.raises(TypeError, match="max_epoch"):
        protocols.run("wsarl", "bp4d", "nowhere", max_epoch=3)
    with pytest.raises(ValueError, match="every must be 1 or more, got 0"):
        protocols.run("wsarl", "bp4d", "nowhere", every=0)


def each(protocols):
    protocols = list(protocols)
    names = [f"{p.system}-{p.experiment}" for p in protocols]
    return pytest.mark.parametrize("protocol", protocols, ids=names)


@each(PROTOCOLS.values())
def test_every_protocol_can_be_made_and_printed(protocol):
    model = getattr(estimators, protocol.estimator)(**protocol.parameters)
    assert model.get_params().items() >= protocol.parameters.items()
    faces = Faces(np.zeros((1, 8, 8, 3), np.uint8), landmarks=np.ones((1, 68, 2)))
    FaceAligner(**protocol.aligner or {}).fit(faces)
    text = str(protocol)
    assert protocol.estimator in text and (protocol.source or "No figures") in text
    assert "Known to differ from the paper" in text and "chosen here:" in text
    assert max(map(len, text.splitlines())) <= 88
    for sentence in (*protocol.different, *protocol.silent):
        assert sentence[0].isupper() or sentence[0] == '"', sentence
        assert sentence.endswith("."), sentence
        assert " ".join(text.split()).count(sentence) == 1, sentence


def test_notes_tell_the_settings_that_run():
    protocol = PROTOCOLS["sevnet", "bp4d"]
    (told,) = [sentence for sentence in protocol.silent if "dropout" in sentence]
    model = estimators.SEVNetClassifier(**protocol.parameters)
    assert told.endswith("here there is none.") and model.dropout == 0
    assert PROTOCOLS["fau_transformer", "bp4d L1 maps"].source.endswith("Section 4.2")


# Ablations run as the experiment that they are settings of.
@each(p for p in PROTOCOLS.values() if " " not in p.experiment)
def test_every_protocol_runs_and_has_figures(protocol, recorder, request):
    names = {data.name for data in (*protocol.learned, protocol.data)}
    root = {name: request.getfixturevalue(name) for name in names}
    result = protocols.run(protocol.system, protocol.experiment, root, init_from=None)
    n_folds = 1 if protocol.data.folds is None or len(names) > 1 else 3
    assert [parameters["aus"] for parameters, _, _ in recorder.fits] == [
        protocol.learned_aus
    ] * n_folds
    assert result.f1.shape == result.accuracy.shape == (n_folds, len(protocol.aus))
    assert bool(result.published) == (protocol.table is not None)
    if protocol.dataset != "emotionet" and protocol.table:
        assert tuple(result.published) == (*protocol.aus, "mean")
    head, lines = repr(result).split("\n  AU  ")[0], repr(result).splitlines()
    assert protocol.name in " ".join(head.split()) and protocol.notes() in repr(result)
    assert max(map(len, lines)) <= 88


def test_no_file_hides_a_protocol_of_another():
    papers = (files("skfau.protocols") / "papers").iterdir()
    systems = [tomllib.loads(path.read_text("utf-8"))["systems"] for path in papers]
    rows = [len(system["on"]) for of_paper in systems for system in of_paper.values()]
    assert sum(rows) == len(PROTOCOLS)


def test_every_row_with_a_system_and_a_loader_has_a_protocol():
    data = published_results().data
    # A comparison is quoted by several papers.
    rows = {
        (row["method"], row["dataset"], frozenset(row["trained_on"].split(", ")))
        for row in data
    }
    known = {
        (p.table[2], p.dataset, frozenset(data.name for data in p.learned))
        for p in PROTOCOLS.values()
        if p.table
    }
    assert {method for method, _, _ in rows - known} == NOT_HERE
    assert known <= rows


def test_prepared_faces_are_kept(tmp_path, monkeypatch):
    bp4d = write_six_subjects(tmp_path / "bp4d", DATASET_AUS["bp4d"])
    monkeypatch.setattr(estimators, "WSARLClassifier", Recorder)
    for path in sorted((bp4d / "AUCoding" / "AU_OCC").iterdir()):
        write_points(bp4d / "landmarks68", path.stem, range(1, 9))
    kept, small = tmp_path / "kept", {"output_size": 16}
    first = protocols.run("wsarl", "bp4d", bp4d, prepared=kept, aligner=small)
    assert (kept / "bp4d" / "images.npy").exists()
    again = protocols.run("wsarl", "bp4d", bp4d, prepared=kept, aligner=small)
    np.testing.assert_array_equal(again.y_proba, first.y_proba)
