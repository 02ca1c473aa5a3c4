"""Interrupted fits lose nothing, finished ones are not repeated, folds do not leak."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skfau._files import write_atomically
from skfau.estimators import ResNetClassifier
from tests.small import CLASSIFIERS, make_small

SCRIPT = textwrap.dedent(
    """
    import sys
    import torch
    torch.set_num_threads(1)
    from skfau.datasets import make_faces
    from skfau.estimators import FaceAugmentation
    import skfau.estimators
    from tests.small import make_small
    from tests.test_checkpoint import Watch

    Watch.dies_in = int(sys.argv[3])
    made = make_faces(n_subjects=8, n_frames=12, image_size=48, random_state=0)
    cls = getattr(skfau.estimators, sys.argv[1])
    make_small(
        cls, checkpoint_dir=sys.argv[2], callbacks=[Watch()], max_epochs=4,
        early_stopping=True, augmentation=FaceAugmentation(rotation=5),
    ).fit(made.data, made.target)
    """
)


class Watch(Callback):
    """Count epochs over all copies of this callback; die within one of them."""

    epochs, dies_in = 0, None

    def on_epoch_begin(self, net, **kwargs):
        Watch.epochs += 1

    def on_batch_end(self, net, training=False, **kwargs):
        if len(net.history) == Watch.dies_in:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_a_killed_fit_ends_bit_equal_to_one_that_never_was(cls, made, tmp_path):
    from skfau.estimators import FaceAugmentation

    parameters = {
        "max_epochs": 4,
        "early_stopping": True,
        "augmentation": FaceAugmentation(rotation=5),
    }
    for epoch in ("2", "4"):
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, cls.__name__, str(tmp_path), epoch],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert run.returncode == -signal.SIGKILL, run.stderr
    Watch.epochs = 0
    resumed = make_small(
        cls, checkpoint_dir=tmp_path, callbacks=[Watch()], **parameters
    ).fit(made.data, made.target)
    assert Watch.epochs == 1  # the last of four; the others were on disk
    straight = make_small(cls, **parameters).fit(made.data, made.target)
    assert resumed.history_ == straight.history_
    for name, array in straight.network_state().items():
        np.testing.assert_array_equal(resumed.network_state()[name], array, name)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_a_finished_fit_is_not_repeated(cls, made, tmp_path):
    first = make_small(cls, checkpoint_dir=tmp_path).fit(made.data, made.target)
    stamps = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert stamps
    again = make_small(cls, checkpoint_dir=tmp_path).fit(made.data, made.target)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == stamps
    np.testing.assert_array_equal(
        first.predict_proba(made.data), again.predict_proba(made.data)
    )


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_other_rows_labels_or_parameters_never_share_a_file(cls, made, tmp_path):
    def fit(rows=slice(None), flip=False, **parameters):
        target = 1 - made.target if flip else made.target
        clf = make_small(cls, checkpoint_dir=tmp_path, max_epochs=1, **parameters)
        clf.fit(made.data[rows], target[rows])

    fit()
    # A system of two stages has a file of each.
    n_files = len(list(tmp_path.iterdir()))
    fit(rows=slice(None, None, 2))
    fit(rows=slice(1, None, 2))
    fit(flip=True)
    fit(batch_size=8)
    fit(random_state=1)
    assert len(list(tmp_path.iterdir())) == 6 * n_files


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_another_content_under_the_same_name_is_another_fit(cls, made, tmp_path):
    start, folder = tmp_path / "start.safetensors", tmp_path / "checkpoints"
    for seed in (0, 1):
        source = make_small(cls, max_epochs=1, random_state=seed)
        source.fit(made.data, made.target).save(start)
        clf = make_small(cls, max_epochs=1, init_from=start, checkpoint_dir=folder)
        clf.fit(made.data, made.target)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_checkpoints_need_an_int_seed(cls, made, tmp_path):
    clf = make_small(cls, checkpoint_dir=tmp_path, random_state=None)
    with pytest.raises(ValueError, match="needs an int random_state"):
        clf.fit(made.data, made.target)


def test_a_file_that_was_not_written_whole_never_replaces_the_old_one(
    made, tmp_path, monkeypatch
):
    save, written = torch.save, []

    def save_one(state, file):
        if written:
            file.write(b"half a file")
            raise OSError("disk full")
        written.append(state)
        save(state, file)

    clf = make_small(ResNetClassifier, checkpoint_dir=tmp_path)
    monkeypatch.setattr(torch, "save", save_one)
    with pytest.raises(OSError, match="disk full"):
        clf.fit(made.data, made.target)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.undo()
    resumed = clf.fit(made.data, made.target)
    straight = make_small(ResNetClassifier).fit(made.data, made.target)
    assert resumed.history_ == straight.history_
    np.testing.assert_array_equal(
        resumed.predict_proba(made.data), straight.predict_proba(made.data)
    )


def test_a_checkpoint_that_holds_code_is_refused(made, tmp_path):
    class Code:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    clf = make_small(ResNetClassifier, checkpoint_dir=tmp_path, max_epochs=1)
    (path,) = clf.fit(made.data, made.target) and tmp_path.iterdir()
    with write_atomically(path, sealed=True) as file:
        torch.save({"history": "[]", "module": Code()}, file)
    with pytest.raises(ValueError, match=r"\.pt cannot be read .* Weights"):
        clf.fit(made.data, made.target)
    assert not (tmp_path / "ran").exists()
