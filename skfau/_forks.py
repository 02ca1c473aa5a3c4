"""Locks that a forked child never finds held by a thread that it does not have."""

import os


def free_in_children(lock, then=None):
    """Let every fork wait until no other thread holds a lock.

    With a new lock alone the child would find half done what the lock guards.

    Parameters
    ----------
    lock : threading.Lock or threading.RLock
        Held for moments only.
    then : callable, default=None
        Called in the child, to forget what other threads wanted.
    """

    def release():
        if then is not None:
            then()
        lock.release()

    # Windows has no forks.
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire,
            after_in_parent=lock.release,
            after_in_child=release,
        )
