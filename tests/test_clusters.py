"""Dask and Ray as backends of joblib: the numbers of one process, small parcels."""

import contextlib
import pickle
import subprocess
import sys
import time
from pathlib import Path
from platform import node

import cv2
import numpy as np
import pytest
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

import skfau
from skfau import FaceAligner, Faces, ResNetClassifier
from skfau._parallel import count_threads, run_in_any_order
from skfau.cli import _predict, main
from skfau.cli._search import search_elsewhere
from skfau.cli._sources import Source
from skfau.cli._work_folder import WorkFolder
from skfau.datasets import make_faces
from skfau.estimators import landmark_baseline
from skfau.exceptions import FaceImageError
from skfau.metrics import f1_scorer
from skfau.model_selection import compare, oof_predict_proba
from skfau.preprocessing import ROIHeatmaps, prepare
from tests.cli_folder import write_film
from tests.small import make_small

CV = GroupKFold(2)
# Dask warns of a busy machine.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.* taking a surprisingly long time:UserWarning"
)


@pytest.fixture(scope="module")
def client():
    """Return the client of two workers on this machine."""
    distributed = pytest.importorskip(
        "distributed", reason="distributed is in the extra dask"
    )
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def made():
    made = make_faces(n_subjects=4, n_frames=4, image_size=64, random_state=0)
    # Every AU is there in every fold, so that no score warns.
    made.target[:] = np.indices(made.target.shape).sum(axis=0) % 2
    return made


def write_files(faces, folder):
    """Return the same faces as image files."""
    paths = [folder / f"{row}.png" for row in range(len(faces))]
    for path, image in zip(paths, np.asarray(faces), strict=True):
        cv2.imwrite(str(path), image)
    return Faces(paths, **{name: faces.column(name) for name in faces.columns})


def prepare_maps(faces, folder):
    """Return aligned faces of a prepared folder, with maps of the AUs."""
    prepared = prepare(faces, FaceAligner(48), folder / "prepared")
    return ROIHeatmaps(aus=(1, 12)).fit_transform(prepared)


KINDS = {
    "memory": lambda faces, folder: faces,
    "memory map": lambda faces, folder: faces.to_memmap(folder / "x.npy"),
    "files": write_files,
    "prepared": prepare_maps,
}


def small():
    return make_pipeline(
        FaceAligner(48), make_small(ResNetClassifier, image_size=32, max_epochs=1)
    )


def search(faces, y):
    grid = {"resnetclassifier__lr": [1e-3, 1e-2]}
    search = GridSearchCV(small(), grid, cv=CV, scoring=f1_scorer, refit=False)
    return search.fit(faces, y, groups=faces.subject).cv_results_["mean_test_score"]


def compare_two(faces, y):
    other = small().set_params(resnetclassifier__lr=1e-2)
    pair = {"one": small(), "other": other}
    table = compare(pair, faces, y, cv=CV, n_resamples=20, error_score="raise")
    return np.stack(list(table.probabilities.values()))


JOBS = {
    "cross_val_score": lambda faces, y: cross_val_score(
        small(), faces, y, groups=faces.subject, cv=CV, scoring=f1_scorer
    ),
    "GridSearchCV": search,
    "compare": compare_two,
    "oof_predict_proba": lambda faces, y: oof_predict_proba(small(), faces, y, cv=CV),
}


@pytest.fixture
def sent(client, monkeypatch):
    """Return a list of the bytes that client and scheduler send."""
    from distributed.comm.tcp import TCP

    sizes, write = [], TCP.write

    async def count(self, *arguments, **options):
        sizes.append(await write(self, *arguments, **options))
        return sizes[-1]

    monkeypatch.setattr(TCP, "write", count)
    return sizes


@pytest.mark.parametrize(
    ("kind", "job"),
    [*((kind, "oof_predict_proba") for kind in KINDS)]
    + [("memory", job) for job in JOBS if job != "oof_predict_proba"],
)
def test_numbers_are_those_of_one_process_and_faces_travel_once(
    sent, made, tmp_path, kind, job
):
    faces, run = KINDS[kind](made.data, tmp_path), JOBS[job]
    alone = run(faces, made.target)
    sent.clear()
    with parallel_config("dask"):
        together = run(faces, made.target)
    np.testing.assert_array_equal(together, alone)
    assert np.isfinite(alone).all()
    # From the client to the scheduler, and from there to one worker.
    assert sum(sent) < 2 * len(pickle.dumps(faces)) + 300_000


@pytest.mark.parametrize("kind", ["memory map", "files", "prepared"])
def test_a_file_that_workers_do_not_see_is_named(client, made, tmp_path, kind):
    (tmp_path / "here").mkdir()
    faces = KINDS[kind](made.data, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "away")
    with parallel_config("dask"), pytest.raises(FaceImageError, match="/here/"):
        oof_predict_proba(small(), faces, made.target, cv=CV)


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    """Return a folder with a model and short films."""
    folder = tmp_path_factory.mktemp("films")
    skfau.save(landmark_baseline().fit(made.data, made.target), folder / "model")
    (folder / "films").mkdir()
    for name in "abcd":
        write_film(folder / f"films/{name}.avi", 6)
    return folder


@pytest.fixture
def arguments(folder, tmp_path, monkeypatch):
    """Return the arguments of a command in the folder."""
    monkeypatch.chdir(folder)
    return ["predict", "films", "--model", "model", "-o", str(tmp_path / "aus.csv")]


@pytest.fixture(scope="module")
def table(folder):
    """Return the table that one process writes."""
    paths = [str(folder / "model"), "-o", str(folder / "alone.csv")]
    with contextlib.chdir(folder):
        assert main(["predict", "films", "--model", *paths]) == 0
    return (folder / "alone.csv").read_bytes()


def test_workers_write_one_table(client, arguments, table, tmp_path):
    with parallel_config("dask"):
        assert main(arguments) == 0
    assert (tmp_path / "aus.csv").read_bytes() == table
    assert [path.name for path in tmp_path.iterdir()] == ["aus.csv"]


KILLED = """
import sys
from distributed import Client
from joblib import parallel_config
from skfau.cli import main
with Client(sys.argv[1]), parallel_config("dask"):
    main(sys.argv[2:])
"""


def test_a_killed_command_goes_on(client, arguments, table, tmp_path, monkeypatch):
    address = client.scheduler.address
    killed = subprocess.Popen([sys.executable, "-c", KILLED, address, *arguments])
    while not list(tmp_path.rglob("done.json")):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "aus.csv").exists()
    left = []

    def count(jobs):
        left.extend(jobs)
        return run_in_any_order(left)

    monkeypatch.setattr(_predict, "run_in_any_order", count)
    with parallel_config("dask"):
        assert main(arguments) == 0
    assert len(left) < 4
    assert (tmp_path / "aus.csv").read_bytes() == table


def test_a_video_that_workers_do_not_see_is_named(
    client, arguments, monkeypatch, capsys
):
    away = [Source("video", ("away.avi",))]
    monkeypatch.setattr(_predict, "find_sources", lambda paths: (away, 0))
    with parallel_config("dask"):
        assert main(arguments) == 1
    said = capsys.readouterr().err
    assert f"{Path.cwd() / 'away.avi'} is not there on the machine {node()}" in said
    assert said.count("\n") == 1


def test_a_table_that_workers_do_not_see_is_named(tmp_path):
    work = WorkFolder(tmp_path / "aus.csv", {})
    work.remove()
    with pytest.raises(FileNotFoundError, match=r"aus\.csv\.partial is not there on"):
        search_elsewhere(work, 0, Source("video", ("film.avi",)), None, "", None)


def test_a_worker_that_was_given_up_does_not_write_into_another_job(tmp_path):
    old = WorkFolder(tmp_path / "aus.csv", {"model": "one"})
    old.remove()
    new = WorkFolder(tmp_path / "aus.csv", {"model": "another"})
    with pytest.raises(FileNotFoundError):
        old.write(0, 0, {"row": np.arange(3)})
    assert new.n_parts(0) == 0


@pytest.fixture
def ray():
    """Start Ray with two workers on this machine."""
    ray = pytest.importorskip("ray", reason="Ray takes long to start; extra ray")
    from ray.util.joblib import register_ray

    register_ray()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_ray_gives_the_numbers_of_one_process(ray, made, tmp_path):
    faces = prepare_maps(made.data, tmp_path)
    alone = compare_two(faces, made.target)
    with parallel_config("ray", n_jobs=2):
        together = compare_two(faces, made.target)
    np.testing.assert_array_equal(together, alone)


def test_threads_of_a_task_are_not_the_cores_of_the_cluster(client):
    with parallel_config("dask"):
        assert count_threads(-1) == 1
    with parallel_config("threading"):
        assert count_threads(3) == 3
