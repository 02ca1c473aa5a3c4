"""Rows of what a camera sees, until Ctrl-C or its end."""

import sys
from contextlib import closing
from datetime import datetime

import numpy as np

from skfau._progress import Progress
from skfau.cli._frames import camera_batches, open_camera
from skfau.cli._leads import lead_people, only_leads
from skfau.cli._overlay import OverlayVideo, frames_of, mark
from skfau.cli._search import find_ahead, parts_of_batches
from skfau.cli._sources import Source


def camera_source(number):
    """Return a camera as a source, named by now; raise if it is not there."""
    open_camera(number).release()
    return Source("camera", (f"camera {number} {datetime.now():%Y-%m-%d %H.%M.%S}",))


def watch(work, number, camera, chain, every, people, overlay):
    """Write the parts of what a camera sees; return the number of its frames.

    Parameters
    ----------
    work : WorkFolder
        Where they are written.
    number : int
        Of the source.
    camera : int
        Number of the camera.
    chain : Chain
        Finds and judges faces.
    every : float or None
        Seconds between frames.
    people : {"all", "largest"}
        Whom to draw.
    overlay : Path or None
        The video to draw into, frame after frame.

    Returns
    -------
    n_frames : int
    """
    batches = camera_batches(camera, every)
    with (
        Progress("Ctrl-C ends", None, "frames", __name__) as bar,
        _Live(overlay, every, people, chain) as live,
        closing(find_ahead(batches, chain.follower())) as found,
    ):
        n_frames = 0
        parts = parts_of_batches(found, chain, 0, bar, live.show)
        try:
            for part in parts:
                work.write(number, work.n_parts(number), part)
                n_frames += len(np.unique(part["row"]))
        except KeyboardInterrupt:
            print("the camera is stopped", file=sys.stderr)
    work.close(number)
    return n_frames


class _Live:
    """The overlay of a camera; nothing if there is to be none."""

    def __init__(self, path, every, people, chain):
        self._people, self._chain = people, chain
        rate = None if every is None else 1 / every
        self._video = None if path is None else OverlayVideo(path, rate)

    def __enter__(self):
        return self

    def show(self, batch, part):
        """Draw the faces of a batch."""
        if self._video is None:
            return
        if self._people == "largest":
            first = part["row"][0]
            part = part | {"row": part["row"] - first}
            part = only_leads(part, lead_people([part], True))
        times = batch.column("time")
        for row, time, image in zip(frames_of(part), times, batch.images, strict=True):
            # Faces may come as near as they like.
            self._video.write(mark(image, row, self._chain, strip=True), time)

    def __exit__(self, *error):
        if self._video is not None:
            self._video.__exit__(*error)
