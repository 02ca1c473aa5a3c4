"""The mesh of Face Mesh as a column of faces, and its features."""

import pickle

import cv2
import numpy as np
import pytest
from skimage.data import astronaut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skfau
from skfau import Faces
from skfau.estimators import AULogisticRegression
from skfau.exceptions import MissingColumnError, MissingFaceWarning
from skfau.preprocessing import (
    FaceAligner,
    MeshDetector,
    MeshFeatures,
    find_faces,
    prepare,
)
from skfau.preprocessing._mesh import MESH_TO_68
from tests.squares import SquareDetector

PHOTO = astronaut()
EYES = 62.6  # distance of the outer eye corners in PHOTO, in pixels


def aligner(**parameters):
    return FaceAligner(n_jobs=1, **parameters)


@pytest.fixture(scope="module")
def detected():
    return aligner(mesh=True).fit_transform(Faces(PHOTO[None]))


@pytest.fixture(scope="module")
def points():
    return MeshDetector(n_jobs=1)([PHOTO])


def in_source(aligned):
    return aligner().inverse_transform(aligned, aligned.mesh[..., :2])


def turned(angle, scale):
    matrix = cv2.getRotationMatrix2D((220, 150), angle, scale)
    return cv2.warpAffine(PHOTO, matrix, (512, 512))


def test_a_detected_mesh_holds_the_landmarks(detected):
    assert detected.mesh.shape == (1, 468, 3)
    assert detected.mesh.dtype == np.float32
    np.testing.assert_allclose(
        detected.mesh[:, MESH_TO_68, :2], detected.landmarks, atol=1e-3
    )


def test_depth_grows_away_from_the_camera_in_pixels(detected):
    nose, ears = detected.mesh[0, 1, 2], detected.mesh[0, [234, 454], 2]
    small = aligner(mesh=True, output_size=100).fit_transform(Faces(PHOTO[None]))
    eyes = np.ptp(detected.landmarks[0, [36, 45], 0])
    assert (0.4 * eyes < ears - nose).all() and (ears - nose < 2 * eyes).all()
    np.testing.assert_allclose(2 * small.mesh[..., 2], detected.mesh[..., 2], rtol=1e-5)


def test_without_mesh_there_is_no_column(points):
    for faces in (Faces(PHOTO[None]), Faces(PHOTO[None], landmarks=points)):
        assert "mesh" not in aligner().fit_transform(faces).columns


@pytest.mark.parametrize("noise", [0, 3])
def test_given_landmarks_lead_to_the_detected_mesh(detected, points, noise):
    shift = np.random.default_rng(0).normal(0, noise, points.shape)
    given = Faces(PHOTO[None], landmarks=points + shift)
    found = in_source(aligner(mesh=True).fit_transform(given))
    assert np.abs(found - in_source(detected)).max() < 0.03 * EYES


def test_five_points_lead_to_the_detected_mesh(detected, points):
    eyes = points[:, 36:48].reshape(1, 2, 6, 2).mean(axis=2)
    five = np.concatenate([eyes, points[:, [30, 48, 54]]], axis=1)
    found = in_source(
        aligner(mesh=True).fit_transform(Faces(PHOTO[None], five_points=five))
    )
    assert np.abs(found - in_source(detected)).max() < 0.03 * EYES


@pytest.mark.parametrize("angle", [40, 180])
def test_the_mesh_turns_with_the_landmarks(detected, points, angle):
    matrix = cv2.getRotationMatrix2D((220, 150), angle, 1)
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    faces = Faces(turned(angle, 1)[None], landmarks=moved)
    found = in_source(aligner(mesh=True).fit_transform(faces))
    expected = in_source(detected) @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(found - expected).max() < 0.05 * EYES


def test_found_faces_have_the_mesh_that_was_detected(detected):
    detector = MeshDetector(n_jobs=1)
    found = find_faces(Faces(PHOTO[None]), detector, mesh=True, n_jobs=1)
    again = aligner(mesh=True).fit_transform(found)
    np.testing.assert_allclose(again.mesh, detected.mesh, atol=1e-3)
    # Who has a mesh need not ask for it.
    np.testing.assert_array_equal(aligner().fit_transform(found).mesh, again.mesh)


def test_people_of_one_image_have_meshes_of_their_own():
    both = Faces(np.hstack([PHOTO, PHOTO])[None])
    meshes = in_source(aligner(mesh=True).fit_transform(find_faces(both)))
    left, right = meshes[np.argsort(meshes[:, 0, 0])]
    assert np.abs(right - left - [PHOTO.shape[1], 0]).max() < 0.03 * EYES


def test_another_detector_finds_faces_without_a_mesh():
    with pytest.raises(ValueError, match="mesh=True needs a MeshDetector"):
        find_faces(Faces(PHOTO[None]), SquareDetector(), mesh=True)


def test_landmarks_of_another_detector_lead_to_the_mesh(detected, points):
    other = aligner(mesh=True, detector=lambda images: points[: len(images)])
    found = in_source(other.fit_transform(Faces(PHOTO[None])))
    assert np.abs(found - in_source(detected)).max() < 0.03 * EYES


@pytest.mark.parametrize("given", [True, False])
def test_rows_without_a_face_are_nan(points, given):
    images = np.stack([PHOTO, np.zeros_like(PHOTO)])
    landmarks = np.concatenate([points, np.full_like(points, np.nan)])
    faces = Faces(images, landmarks=landmarks if given else None)
    with pytest.warns(MissingFaceWarning, match="1 of 2 faces"):
        aligned = aligner(mesh=True).fit_transform(faces)
    features = MeshFeatures().fit_transform(aligned)
    for values in (aligned.mesh[..., 0], features):
        assert np.isfinite(values).all(axis=1).tolist() == [True, False]


def test_an_image_that_cannot_be_read_has_no_face(points, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    faces = Faces([tmp_path / "a.png"], landmarks=points)
    with pytest.warns(MissingFaceWarning, match="a.png"):
        aligned = aligner(mesh=True).fit_transform(faces)
    assert np.isnan(aligned.mesh).all() and np.isnan(aligned.landmarks).all()


def test_views_joins_and_pickles_keep_the_mesh(detected):
    joined = Faces.concat([detected, detected[:0], detected])
    for faces in (joined[1:], pickle.loads(pickle.dumps(joined[[1]]))):
        np.testing.assert_array_equal(faces.mesh, detected.mesh)
    without = Faces.concat([detected, detected.with_columns(mesh=None)])
    assert np.isnan(without.mesh[1]).all()


def test_a_prepared_folder_keeps_the_mesh(detected, tmp_path):
    for _ in range(2):
        kept = prepare(Faces(PHOTO[None]), aligner(mesh=True), tmp_path / "out")
        np.testing.assert_array_equal(kept.mesh, detected.mesh)
    prepare(Faces(PHOTO[None]), aligner(), tmp_path / "plain")
    assert not (tmp_path / "plain" / "mesh.npy").exists()


def test_a_mesh_of_another_shape_is_an_error():
    with pytest.raises(ValueError, match=r"shape \(n, 468, 3\).* got \(1, 478, 3\)"):
        Faces(PHOTO[None], mesh=np.zeros((1, 478, 3)))


def test_features_are_distances_from_the_mean_of_both_halves(detected):
    names = MeshFeatures().get_feature_names_out().tolist()
    features = MeshFeatures().fit_transform(detected)
    assert features.shape == (1, 468) == (1, len(names))
    assert features.dtype == np.float32
    assert np.abs(features).max() < 0.3
    # An open mouth: the lower lip goes down by a tenth of the eyes' distance.
    mesh = detected.mesh.copy()
    mesh[:, 17, 1] += 0.1 * np.linalg.norm(mesh[0, 33, :2] - mesh[0, 263, :2])
    moved = MeshFeatures().transform(detected.with_columns(mesh=mesh)) - features
    assert np.flatnonzero(np.abs(moved[0]) > 1e-5).tolist() == [names.index("y17")]
    assert 0.08 < moved[0, names.index("y17")] < 0.12


def test_features_of_the_mirrored_mesh_are_the_same(detected):
    from skfau.preprocessing._mesh_features import mean_mesh

    mirrored = detected.mesh[:, mean_mesh()[1]] * np.float32([-1, 1, 1])
    np.testing.assert_allclose(
        MeshFeatures().transform(detected.with_columns(mesh=mirrored)),
        MeshFeatures().transform(detected),
        atol=1e-5,
    )


@pytest.mark.parametrize("template", ["jaa", "box"])
def test_features_do_not_depend_on_the_template(detected, template):
    other = aligner(mesh=True, template=template).fit_transform(Faces(PHOTO[None]))
    np.testing.assert_allclose(
        MeshFeatures().transform(other), MeshFeatures().transform(detected), atol=1e-4
    )


@pytest.mark.parametrize(("angle", "scale"), [(25, 1), (-40, 1.4), (90, 1), (0, 0.7)])
def test_features_do_not_depend_on_roll_and_size(detected, angle, scale):
    faces = Faces(turned(angle, scale)[None])
    features = MeshFeatures().transform(aligner(mesh=True).fit_transform(faces))
    difference = features - MeshFeatures().transform(detected)
    assert np.sqrt((difference**2).mean()) < 0.012


def test_the_mesh_is_the_same_in_every_run(detected):
    for n_jobs in (1, 2):
        faces = Faces(np.stack([PHOTO] * 3))
        again = FaceAligner(mesh=True, n_jobs=n_jobs).fit_transform(faces)
        np.testing.assert_array_equal(again.mesh, np.repeat(detected.mesh, 3, axis=0))


def test_features_need_a_mesh(points):
    with pytest.raises(MissingColumnError, match="mesh=True"):
        MeshFeatures().fit(Faces(PHOTO[None], landmarks=points))


@pytest.mark.parametrize("scaler", [[], [StandardScaler()]])
def test_a_chain_from_photographs_to_probabilities_is_saved(tmp_path, scaler):
    images = np.stack([turned(angle, 1) for angle in (0, 10, 20, 30)])
    y = np.array([[0, 1], [1, 0], [0, 1], [1, 0]])
    chain = make_pipeline(
        FaceAligner(mesh=True, n_jobs=1),
        MeshFeatures(),
        *scaler,
        AULogisticRegression(aus=(1, 2)),
    ).fit(Faces(images), y)
    skfau.save(chain, tmp_path / "chain.skfau")
    again = skfau.load(tmp_path / "chain.skfau")
    expected = chain.predict_proba(Faces(images))
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(again.predict_proba(Faces(images)), expected)
