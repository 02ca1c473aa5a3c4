"""Pictures of the AUs of each person along a video."""

import io
from pathlib import Path

import numpy as np

from skfau._files import write_atomically
from skfau.inspection import AUTimelineDisplay

_FEWEST = 2  # frames of which a line can be drawn


def need_plots():
    """Raise unless pictures can be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "--plot draws with matplotlib, which is not installed: "
            "pip install 'skfau[plot]'."
        ) from error


def write_timelines(output, sources, parts_of, chain):
    """Write a picture per video and person beside a table; return their paths.

    Parameters
    ----------
    output : Path
        The table.
    sources : sequence of Source
        Of images there is no timeline.
    parts_of : callable
        Number of a source -> its parts.
    chain : Chain
        Knows AUs and thresholds.

    Returns
    -------
    paths : list of Path
    """
    written, taken = [], set()
    for number, source in enumerate(sources):
        if not source.is_recording:
            continue
        stem, again = Path(source.paths[0]).stem, 2
        name = stem
        while name in taken:
            name, again = f"{stem}-{again}", again + 1
        taken.add(name)
        # A table is often named as its video is.
        prefix = name if name == output.stem else f"{output.stem}-{name}"
        for person, (frames, times, probabilities) in _people(parts_of(number)).items():
            if len(frames) >= _FEWEST:
                path = output.with_name(f"{prefix}-person{person}.png")
                title = f"{Path(source.paths[0]).name}, person {person}"
                _draw(path, frames, times, probabilities, chain, title)
                written.append(path)
    return written


def _people(parts):
    """Return frames, seconds and probabilities of each person."""
    rows = {}
    for part in parts:
        for person in np.unique(part["person"][part["person"] >= 0]).tolist():
            own = part["person"] == person
            rows.setdefault(person, []).append(
                (part["frame"][own], part["time"][own], part["probabilities"][own])
            )
    return {
        person: [np.concatenate(each) for each in zip(*own, strict=True)]
        for person, own in sorted(rows.items())
    }


def _draw(path, frames, times, probabilities, chain, title):
    from matplotlib.figure import Figure
    from matplotlib.ticker import AutoLocator

    timed = (np.diff(times) > 0).all()

    figure = Figure((10.0, 1.2 + 0.48 * len(chain.aus)), layout="constrained")
    display = AUTimelineDisplay.from_predictions(
        probabilities,
        chain.aus,
        frames=times if timed else frames,
        thresholds=chain.thresholds,
        title=title,
        ax=figure.subplots(),
    )
    if timed:
        display.ax_.set_xlabel("seconds")
        display.ax_.xaxis.set_major_locator(AutoLocator())
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    with write_atomically(path) as file:
        file.write(picture.getvalue())
