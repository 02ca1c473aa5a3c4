"""The face alignment network of AUNetClassifier: where its weights come from."""

import numpy as np
import pytest
import torch

from skfau import Faces
from skfau.exceptions import FaceImageError, MissingColumnError
from tests.test_aunet_classifier import small


@pytest.fixture(scope="module")
def trained(made):
    return small(label_vae=False, temporal=False).fit(made.data, made.target)


def test_fit_without_landmarks_needs_weights_of_the_fan(trained, made, tmp_path):
    faces = made.data.with_columns(landmarks=None)
    with pytest.raises(MissingColumnError, match="Give fan_weights="):
        small().fit(faces, made.target)
    path = tmp_path / "fan.pth"
    torch.save(trained.net_.module_.network.trunk.state_dict(), path)
    given = small().fit(made.data, made.target)
    given.set_params(fan_weights=path).fit(faces, made.target)
    assert not hasattr(given, "fan_history_")
    for name, array in trained.network_state().items():
        if name.startswith("trunk."):
            np.testing.assert_array_equal(given.network_state()[name], array, name)


def test_weights_that_would_not_be_read_are_an_error(made, tmp_path):
    clf = small(weights=tmp_path / "fan.pth")
    with pytest.raises(ValueError, match=r"does not read it; got .*fan_weights="):
        clf.fit(made.data, made.target)


def test_the_fan_learns_where_landmarks_are(made):
    clf = small(fan_epochs=12, temporal=False, label_vae=False, batch_size=4)
    clf.fit(made.data[::4], made.target[::4])
    losses = [row["train_loss"] for row in clf.fan_history_]
    assert len(losses) == 12 and losses[-1] < 0.85 * losses[0]


def test_a_fan_whose_training_failed_is_trained_again(made):
    images = [*made.data.images[1:], np.zeros((40, 40, 3), np.uint8)]
    columns = {name: made.data.column(name) for name in made.data.columns}
    clf = small()
    with pytest.raises(FaceImageError, match="Align the faces first"):
        clf.partial_fit(Faces(images, **columns), made.target)
    clf.partial_fit(made.data, made.target)
    assert len(clf.fan_history_) == 1


def test_init_from_brings_the_fan_along(trained, made):
    again = small(init_from=trained, random_state=1)
    again.fit(made.data.with_columns(landmarks=None), made.target)
    assert not hasattr(again, "fan_history_")
    wider = small(fan_width=32, init_from=trained).fit(made.data, made.target)
    assert len(wider.fan_history_) == 1


def test_the_fans_training_is_shown(made, capfd, slowly):
    small(verbose=1).fit(made.data[::4], made.target[::4])
    shown = capfd.readouterr().err
    assert "Training the alignment network: " in shown
    assert "Training a label VAE: 100 of 100 epochs" in shown
