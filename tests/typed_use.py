"""What a type checker knows of code that uses skfau; mypy reads it, nothing runs."""

from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import skfau
from skfau import Faces, FAUTransformerClassifier
from skfau.metrics import Comparison, ScoreTable, score_table
from skfau.model_selection import compare, oof_predict_proba


def a_classifier(faces: Faces, labels: NDArray[np.float32]) -> None:
    clf = FAUTransformerClassifier(backbone="tiny", aus=(1, 2), max_epochs=3)
    assert_type(clf.fit(faces, labels), FAUTransformerClassifier)
    assert_type(clf.predict_proba(faces), NDArray[np.float32])
    assert_type(clf.score(faces, labels), float)
    assert_type(skfau.DRMLClassifier().fit(faces, labels), skfau.DRMLClassifier)


def settings_of_single_aus(vectors: dict[int, list[float]]) -> None:
    skfau.WSARLClassifier(crf_widths=([14.0] * 12, 13.0, 0.75), crf_weights=(1.0, 0.5))
    FAUTransformerClassifier(branch_channels=(128, 64), device=["cuda:0", "cuda:1"])
    skfau.SEVNetClassifier(text_encoder=vectors, descriptions={12: "Lips go up."})
    skfau.MSCAMClassifier(text_encoder=lambda text: vectors[len(text)])


def faces_and_their_views(faces: Faces) -> None:
    assert_type(faces[:3], Faces)
    assert_type(faces[0], NDArray[np.uint8])
    assert_type(faces.columns, tuple[str, ...])
    assert_type(skfau.FaceAligner(output_size=64).fit(faces).transform(faces), Faces)


def an_evaluation(faces: Faces, labels: NDArray[np.float32]) -> None:
    clf = skfau.ResNetClassifier()
    proba = oof_predict_proba(clf, faces, labels, cv=3)
    assert_type(proba, NDArray[np.float32])
    assert_type(score_table(labels, aus=(1, 2), y_proba=proba), ScoreTable)
    assert_type(compare({"a": clf}, faces, labels, cv=3), Comparison)


def what_is_wrong_is_told(faces: Faces) -> None:
    FAUTransformerClassifier(max_epochs="3")  # type: ignore[arg-type]
    FAUTransformerClassifier(epochs=3)  # type: ignore[call-arg]
    skfau.FaceAligner(template="smile")  # type: ignore[arg-type]
