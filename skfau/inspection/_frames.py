"""Rows of one video in order: gaps, runs and single frames."""

import numpy as np


def rows_of_video(faces, video):
    """Return the rows of one video, and its name for a title."""
    rows = np.arange(len(faces))
    if video is not None:
        rows = np.flatnonzero(faces.video == video)
        if not len(rows):
            known = ", ".join(map(repr, np.unique(faces.video)[:8].tolist()))
            raise ValueError(f"X has no video {video!r}; there are {known}, ...")
    names = [
        [str(value) for value in faces.column(name, rows)]
        for name in ("subject", "video")
        if name in faces.columns
    ]
    recordings = sorted(set(zip(*names, strict=True)))
    if len(recordings) > 1:
        listed = ", ".join(" ".join(names) for names in recordings[:8])
        raise ValueError(
            f"a timeline needs one video, these rows are of {len(recordings)}: "
            f"{listed}{', ...' if len(recordings) > 8 else ''}. Pass video=..., or "
            "only the rows of one."
        )
    title = recordings[0] if recordings else ("",)
    # Videos are often named after their subject.
    return rows, title[-1] if title[0] in title[-1] else " ".join(title)


def in_order(frames, n_frames):
    """Sort frame numbers and add one, of the first missing frame, to every gap.

    Parameters
    ----------
    frames : array-like of shape (n_frames,) or None
        In any order; None counts from 0.
    n_frames : int
        Their number.

    Returns
    -------
    order : ndarray of shape (n_frames,)
        Rows by frame number.
    numbers : ndarray of shape (n_frames + n_gaps,)
        Rising.
    gaps : ndarray of shape (n_gaps,)
        Places in `order` before which ``np.insert`` puts a value for each gap.

    Raises
    ------
    ValueError
        If there is not one number per row, or one comes twice.
    """
    frames = np.arange(n_frames) if frames is None else np.asarray(frames)
    if frames.shape != (n_frames,):
        raise ValueError(
            f"frames must have one number per row of y_proba, shape ({n_frames},), "
            f"got {frames.shape}."
        )
    order = np.argsort(frames, kind="stable")
    frames = frames[order]
    steps = np.diff(frames)
    if np.any(steps == 0):
        twice = frames[np.argmin(steps)]
        raise ValueError(
            f"frame {twice} comes twice: a timeline needs the rows of one video."
        )
    step = usual_step(frames)
    gaps = np.flatnonzero(steps > 1.5 * step) + 1
    return order, np.insert(frames, gaps, frames[gaps - 1] + step), gaps


def usual_step(frames):
    """Return the usual distance between frames, itself one that occurs."""
    return np.quantile(np.diff(frames), 0.5, method="lower") if len(frames) > 1 else 1


def spans(frames, mask, step):
    """Return (start, width) of the runs of True; a frame is `step` wide."""
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False].astype(int)))
    first, last = frames[edges[::2]], frames[edges[1::2] - 1]
    return list(zip(first - step / 2, last - first + step, strict=True))


def alone(values):
    """Return where a value has none beside it, so that a line would not show it."""
    known = np.r_[False, ~np.isnan(values), False]
    return known[1:-1] & ~known[:-2] & ~known[2:]
