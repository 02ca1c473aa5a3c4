"""From images and frames to parts of a table: found faces and what they show."""

import sys
import warnings
from contextlib import closing, contextmanager
from functools import lru_cache
from platform import node

import cv2
import numpy as np

from skfau._parallel import count_threads
from skfau._progress import Progress
from skfau.cli._chain import Chain
from skfau.cli._frames import ahead
from skfau.estimators._torch_state import at_most_threads
from skfau.exceptions import FaceImageError, MissingFaceWarning, SeveralFacesWarning

_BLOCK = 256  # frames that are written at once
_FACES = 32  # that are judged at once
_SHOWN = 5  # images that cannot be read, of each source


def search(work, number, source, chain, every, bar):
    """Write the parts of a source that are not written yet.

    Parameters
    ----------
    work : WorkFolder
        Where they are written.
    number : int
        Of the source.
    source : Source
        What is searched.
    chain : Chain
        Finds and judges faces.
    every : float or None
        Seconds between the frames of a video.
    bar : Progress
        Counts frames.

    Returns
    -------
    n_new : int
        Frames that were searched now.
    """
    follower, n_done, n_parts = chain.follower(), 0, 0
    for part in work.parts(number):
        n_done = _recall(follower, part, n_done)
        n_parts += 1
    bar.skip(n_done)
    batches, fault, n_new = source.batches(every, n_done), "", 0
    try:
        with closing(find_ahead(batches, follower)) as found:
            parts = parts_of_batches(found, chain, n_done, bar)
            # Numbers are counted here: a worker that was given up may still write the
            # same parts.
            for k, part in enumerate(parts, n_parts):
                work.write(number, k, part)
                n_new += len(np.unique(part["row"]))
    except FaceImageError as error:
        fault = str(error)
        print(f"not read: {fault}", file=sys.stderr)
    if not chain.by_frame:
        _judge_all(work, number, source, chain, every)
    work.close(number, fault)
    return n_new


def search_elsewhere(work, number, source, model, digest, every):
    """Search a source in a process that has no more than these names.

    Parameters
    ----------
    work : WorkFolder
        Where its parts are written.
    number : int
        Of the source.
    source : Source
        With absolute paths.
    model, digest : str
        Path of a chain, and what its file must be; see `Chain`.
    every : float or None
        Seconds between the frames of a video.

    Returns
    -------
    n_new : int
        Frames that were searched now.

    Raises
    ------
    OSError, ValueError
        If this machine does not see one of the files.
    """
    work.check_seen()
    source.check_seen()
    with few_threads(), Progress("Searching", None, "frames", __name__) as bar:
        return search(work, number, source, _load_once(model, digest), every, bar)


@lru_cache(maxsize=1)
def _load_once(model, digest):
    """Return the chain of a file; a process searches many sources with one."""
    chain = Chain(model)
    if chain.digest != digest:
        raise ValueError(
            f"{model} on the machine {node()} is another model than where the command "
            "was given; copy the file there."
        )
    return chain


def find_ahead(batches, follower):
    """Yield batches and what is found in each, while threads prepare the next ones.

    One decodes, one finds faces, so that who judges faces never waits for both.
    """
    with closing(ahead(batches)) as coming:
        yield from ahead((batch, follower.find(batch)) for batch in coming)


@contextmanager
def few_threads():
    """Leave one core to each of the two threads of `find_ahead`.

    Networks that compute in threads of their own would wait for each other, and spend
    more time on that than on their small maps.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with at_most_threads(max(count_threads(-1) - 2, 1)):
            yield
    finally:
        cv2.setNumThreads(before)


def parts_of_batches(found, chain, n_done, bar, show=None):
    """Yield parts of so many frames, and what is left at the end or at an error.

    Parameters
    ----------
    found : iterable of tuple of Faces
        See `find_ahead`.
    chain : Chain
        Judges them.
    n_done : int
        Frames before them.
    bar : Progress
        Counts frames.
    show : callable, default=None
        Takes each batch and its part.

    Yields
    ------
    part : dict of ndarray
        See `Chain.look_at`; ``row`` counts the frames of the source.
    """
    block, n_shown = _Block(chain), 0
    try:
        for batch, faces in found:
            part = block.add(*_respond(chain, faces), n_done)
            for reason in part["status"][unread(part)][: _SHOWN - n_shown]:
                print(f"not read: {reason}", file=sys.stderr)
                n_shown += 1
            n_done += len(batch)
            bar.update(len(batch))
            if show is not None:
                block.judge()
                show(batch, part)
            if n_done - block.first >= _BLOCK:
                yield block.pop()
    except (FaceImageError, KeyboardInterrupt):
        if block:
            yield block.pop()
        raise
    if block:
        yield block.pop()


class _Block:
    """Parts that are written as one; their faces are judged many at a time."""

    def __init__(self, chain):
        self._chain = chain
        self._parts, self._waiting = [], []

    def __bool__(self):
        return bool(self._parts)

    @property
    def first(self):
        """Number of its first frame."""
        return self._parts[0]["row"][0]

    def add(self, part, faces, n_done):
        """Add the part that begins with a frame of this number, and return it."""
        part["row"] = part["row"] + n_done
        self._parts.append(part)
        self._waiting.append((part, faces))
        n_faces = [len(faces) for _, faces in self._waiting if faces is not None]
        if sum(n_faces) >= _FACES:
            self.judge()
        return part

    def judge(self):
        """Judge all faces."""
        if self._waiting:
            with _without_missing():
                self._chain.judge(*zip(*self._waiting, strict=True))
        self._waiting = []

    def pop(self):
        """Return all as one part, and begin anew."""
        self.judge()
        parts, self._parts = self._parts, []
        return _join(parts)


@contextmanager
def _without_missing():
    """Leave out warnings of rows that the summary counts and the table explains."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingFaceWarning)
        warnings.simplefilter("ignore", SeveralFacesWarning)
        yield


def _respond(chain, found):
    with _without_missing():
        return chain.look_at(found)


def _join(parts):
    """Return one part of several."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def unread(part):
    """Return which rows of a part are of images that cannot be read."""
    return (part["n_faces"] == 0) & (part["status"] != "no face found")


def _recall(follower, part, n_done):
    """Follow people through a part that is written; return the frames done."""
    first = np.unique(part["row"], return_index=True)[1]
    follower.recall(part | {"row": part["row"] - n_done}, part["time"][first])
    return n_done + len(first)


def _judge_all(work, number, source, chain, every):
    """Add probabilities that need the other frames of a video, too."""
    parts = list(work.parts(number))
    if not parts:
        return
    ends = np.cumsum([len(part["row"]) for part in parts])
    known = _join([{n: v for n, v in part.items() if n in _KNOWN} for part in parts])
    found = source.faces(every)[known["row"]].with_columns(**known)
    with _without_missing():
        faces, rest = chain.align(found)
        whole = chain.probabilities(rest, faces) if chain.smooths else None
        with Progress("Judging AUs", len(faces), "faces", __name__) as progress:
            for k, end in enumerate(ends):
                rows = slice(end - len(parts[k]["row"]), end)
                if not work.has_more(number, k):
                    seen = faces[rows]
                    if whole is None:
                        p = chain.probabilities(rest, seen)
                    else:
                        p = whole[rows]
                    work.add(number, k, _more(p, parts[k]["status"], seen))
                progress.update(rows.stop - rows.start)


def _more(p, status, faces):
    """Return what is known of the faces of a part once they are judged."""
    if "status" in faces.columns:
        status = faces.status.astype(str)
    return {"probabilities": np.asarray(p, np.float32), "status": status}


_KNOWN = "row", "person", "n_faces", "box", "score", "landmarks", "status"
