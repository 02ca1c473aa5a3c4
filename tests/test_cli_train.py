"""``python -m skfau train`` and ``score``, on a few small images."""

import csv

import cv2
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

import skfau
from skfau import FaceAligner, ResNetClassifier
from skfau.cli import _train, main
from skfau.datasets import load_table
from skfau.estimators import AULogisticRegression
from skfau.metrics import score_table
from skfau.preprocessing import LandmarkFeatures
from tests.cli_folder import FACE, read_rows
from tests.small import make_small

AUS = 1, 12


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Four people with three frames each, and an image without a face."""
    monkeypatch.chdir(tmp_path)
    small = cv2.resize(FACE, (130, 130), interpolation=cv2.INTER_AREA)
    lines = []
    for row in range(12):
        image = np.roll(small, row, axis=1) + np.uint8(row)
        cv2.imwrite(f"{row}.png", image)
        lines.append([f"{row}.png", f"person {row // 3}", row % 2, row % 3 == 0])
    cv2.imwrite("none.png", np.zeros((64, 64, 3), np.uint8))
    lines.append(["none.png", "person 0", 1, 1])
    with open("labels.csv", "w", newline="") as file:  # noqa: PTH123
        writer = csv.writer(file)
        writer.writerow(["path", "subject", "AU1", "AU12"])
        writer.writerows([*line[:2], *map(int, line[2:])] for line in lines)
    return "labels.csv"


def test_train_scores_by_subject_and_writes_a_model_for_predict(table, capsys):
    code = main(
        ["train", table, "-o", "mine.safetensors", "--folds", "2", "--epochs", "1"]
    )
    said, progress = capsys.readouterr()
    assert code == 0
    assert "13 rows of 4 subjects; left out: 1 without a face, 0 without a" in said
    assert "fold 2 of 2" in progress
    assert "fold 2 of 2" not in said
    for name in ("AU12", "mean", "f1_low", "f1_high", "f1_chance", "roc_auc"):
        assert name in said
    assert "the shipped model without your labels: mean F1 " in said
    assert main(["predict", "0.png", "--model", "mine.safetensors"]) == 0
    rows = read_rows(skfau.cli._predict.Path("aus.csv"))
    names = [name for name in rows[0] if name.startswith("AU")]
    assert names == ["AU01_p", "AU12_p", "AU01_r", "AU12_r", "AU01_c", "AU12_c"]
    assert 0 <= float(rows[0]["AU12_p"]) <= 1


def test_train_learns_the_aus_and_epochs_that_it_is_told(table):
    arguments = ["--aus", "12", "--epochs", "2", "--folds", "2", "-o", "mine"]
    assert main(["train", table, *arguments]) == 0
    clf = skfau.load("mine")
    assert tuple(clf[-1].aus_) == (12,)
    assert clf[-1].network.max_epochs == 2


def test_score_prints_what_score_table_says_and_what_is_left_out(table, capsys):
    bunch = load_table(table)
    clf = make_pipeline(FaceAligner(48), make_small(ResNetClassifier, aus=(12, 4)))
    labels = np.column_stack([bunch.target[:, 1], bunch.target[:, 0]])
    with pytest.warns(skfau.exceptions.MissingFaceWarning):
        clf.fit(bunch.data[3:], labels[3:])
        p = clf.predict_proba(bunch.data)[:, :1]
    skfau.save(clf, "mine")
    with pytest.warns(skfau.exceptions.SubjectOverlapWarning, match="3 of 4 subjects"):
        assert main(["score", table, "--model", "mine"]) == 0
    said = capsys.readouterr().out
    expected = score_table(
        bunch.target[:, 1:],
        aus=(12,),
        y_proba=p,
        subjects=bunch.data.subject,
        random_state=0,
    )
    assert str(expected) in said
    assert "1 of 13 rows have no prediction (no face)" in said
    assert "AUs of the model without labels here: AU4" in said
    assert "AUs of the table that the model does not know: AU1" in said


def test_a_model_of_labels_without_an_axis_of_aus_is_read_as_any(table, capsys):
    bunch, said = load_table(table, aus=(12,)), []
    for labels in (bunch.target, bunch.target[:, 0]):
        clf = make_pipeline(FaceAligner(48), LandmarkFeatures())
        clf = make_pipeline(*clf, AULogisticRegression(aus=(12,)))
        with pytest.warns(skfau.exceptions.MissingFaceWarning):
            clf.fit(bunch.data, labels)
        skfau.save(clf, "mine")
        with pytest.warns(skfau.exceptions.SubjectOverlapWarning):
            assert main(["score", table, "--model", "mine"]) == 0
        assert main(["predict", "0.png", "--model", "mine"]) == 0
        rows = read_rows(skfau.cli._predict.Path("aus.csv"))
        said.append((capsys.readouterr().out.split("13 rows of")[0], rows[0]["AU12_p"]))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("path,AU1\n0.png,1\n", ["train"], "has no column 'subject': without it"),
        ("path,subject\n0.png,a\n", ["train"], "AU"),
        ("path,subject,AU1\nno.png,a,1\n", ["train"], "no image of"),
        ("path,subject,AU1\n0.png,a,1\n", ["train", "-o", "no/x"], "does not exist"),
        ("path,subject,AU9\n0.png,a,1\n", ["score"], "knows none of the AUs of"),
        ("path,subject,AU1\n0.png,a,1\n", ["train"], "subjects"),
    ],
)
def test_what_cannot_be_learned_is_one_line(
    table, capsys, text, arguments, message, monkeypatch
):
    with open("bad.csv", "w") as file:  # noqa: PTH123
        file.write(text)
    clf = make_pipeline(FaceAligner(48), make_small(ResNetClassifier, aus=AUS))
    monkeypatch.setattr(skfau, "load_pretrained", lambda: _named(clf), raising=False)
    command, *options = arguments
    assert main([command, "bad.csv", *options]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert message in said


def _named(clf):
    clf[-1].aus_ = AUS
    return clf


def test_ctrl_c_leaves_no_model_and_no_folder(table, tmp_path, monkeypatch, capsys):
    def stop(*arguments):
        raise KeyboardInterrupt

    before = set(tmp_path.iterdir())
    monkeypatch.setattr(_train, "_out_of_fold", stop)
    assert main(["train", table, "-o", "mine"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert set(tmp_path.iterdir()) == before


def test_codes_of_unknown_labels_are_left_out(table, tmp_path, capsys):
    path = tmp_path / table
    path.write_text(
        path.read_text().replace("0.png,person 0,0,1", "0.png,person 0,9,9")
    )
    assert main(["train", table, "-o", "mine", "--folds", "2"]) == 1
    assert "AU1 is '9', expected 0 or 1" in capsys.readouterr().err
    arguments = ["--folds", "2", "--unknown", "9", "7"]
    assert main(["train", table, "-o", "mine", *arguments]) == 0
    assert "1 without a face, 1 without a label" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["train", "score"])
def test_help_writes_a_percent_sign_once(command, capsys):
    # Only help of options is filled in by argparse; a description is printed as it is.
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "95 % intervals" in told
