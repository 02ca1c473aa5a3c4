"""What joblib's backends differ in: threads of this process, order of results."""

from multiprocessing import current_process

from joblib import effective_n_jobs
from joblib.parallel import ThreadingBackend, get_active_backend
from sklearn.utils.parallel import Parallel


def count_threads(n_jobs):
    """Return the number of threads to start, as joblib counts them.

    Parameters
    ----------
    n_jobs : int or None
        As in joblib.

    Returns
    -------
    n_threads : int
        1 where the tasks of joblib go to a cluster, and in its workers.
    """
    backend, _ = get_active_backend()
    # Other packages' backends count the cores of all machines; a task has one of them.
    elsewhere = type(backend).__module__ != ThreadingBackend.__module__
    # What joblib was told is not known to the threads of a task.
    if elsewhere or current_process().daemon:
        return 1
    return effective_n_jobs(n_jobs)


def run_in_any_order(jobs, n_jobs=None):
    """Run ``delayed`` calls; return an iterable of their results as they arrive.

    Backends that can only return all results at once, as Ray's, do so.
    """
    backend, _ = get_active_backend()
    told = "generator_unordered" if backend.supports_return_generator else "list"
    return Parallel(n_jobs=n_jobs, return_as=told)(jobs)
