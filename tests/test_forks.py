"""Processes that begin while a thread works: nothing waits, nothing is half done."""

import importlib
import multiprocessing
import os
import pkgutil
import signal
import threading
import time
from contextlib import contextmanager

import pytest
import torch

import skfau
from skfau import FAUTransformerClassifier
from skfau.datasets import make_faces
from skfau.estimators import _torch_state

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Python 3.12 warns of forks beside threads, which is what is tried here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]
LOCKS = (type(threading.Lock()), type(threading.RLock()), threading.Condition)


def module_locks():
    """Return every lock that is a global of the package, by name."""
    found = {}
    for info in pkgutil.walk_packages(skfau.__path__, "skfau."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if isinstance(value, LOCKS):
                found[f"{info.name}.{name}"] = value
    return found


def answer_of_child(question, seconds=20):
    """Fork, and return what the child answers; None if it does not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, repr(question()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    ends = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > ends:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.01)
    with os.fdopen(reading) as pipe:
        return pipe.read() or None


@contextmanager
def beside(context, seconds=0.3):
    """Run the body while another thread is in a context; it leaves by itself."""
    entered = threading.Event()

    def work():
        with context:
            entered.set()
            time.sleep(seconds)

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait()
    try:
        yield
    finally:
        thread.join()


def test_there_are_locks():
    assert len(module_locks()) >= 2


@pytest.mark.parametrize("name", module_locks())
def test_a_child_can_take_every_lock_of_the_package(name):
    lock = module_locks()[name]
    with beside(lock):
        assert answer_of_child(lambda: lock.acquire(timeout=1)) == "True"
    assert lock.acquire(timeout=1)
    lock.release()


@pytest.mark.parametrize("name", module_locks())
def test_who_forks_may_hold_a_lock_that_can_be_held_twice(name):
    lock = module_locks()[name]
    if isinstance(lock, type(threading.Lock())):
        pytest.skip("it cannot be held twice")
    with lock:
        assert answer_of_child(lambda: lock.acquire(timeout=1)) == "True"


def test_a_child_counts_no_threads_that_it_does_not_have():
    def numbers():
        torch.set_num_threads(3)
        with _torch_state.threads(2):
            inside = torch.get_num_threads()
        return inside, torch.get_num_threads()

    with beside(_torch_state.threads(1)):
        assert answer_of_child(numbers) == "(2, 3)"


def test_who_forks_while_counted_is_counted_in_the_child():
    def number():
        with _torch_state.threads(2):
            pass
        return torch.get_num_threads()

    before = torch.get_num_threads()
    with _torch_state.threads(1):
        assert answer_of_child(number) == "2"
    assert torch.get_num_threads() == before


def test_a_child_draws_from_its_own_seed_not_from_a_fit_of_another_thread():
    def draw():
        return torch.rand(3).tolist()

    stream = _torch_state.PrivateStream(torch.device("cpu"))
    stream.seed(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = draw()
        torch.manual_seed(0)
        with beside(stream()):
            assert answer_of_child(draw) == str(expected)


def small_fit():
    made = make_faces(n_subjects=2, n_frames=4, image_size=32, random_state=0)
    FAUTransformerClassifier(
        backbone="tiny",
        image_size=32,
        max_epochs=1,
        batch_size=4,
        embedding_dim=8,
        encoder_layers=1,
        n_heads=2,
        n_threads=1,
        random_state=0,
    ).fit(made.data, made.target)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_fit_while_a_thread_fits(method):
    stop = threading.Event()

    def work():
        while not stop.wait(0.2):
            small_fit()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        context = multiprocessing.get_context(method)
        child = context.Process(target=small_fit)
        child.start()
        child.join(60)
        ended = child.exitcode
        child.kill()
        child.join()
    finally:
        stop.set()
        thread.join()
    assert ended == 0
