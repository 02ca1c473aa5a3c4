"""``python -m skfau predict``: from images, videos and cameras to a table of AUs."""

import sys
from collections import Counter
from pathlib import Path
from time import perf_counter

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils.parallel import delayed

import skfau
from skfau._arrays import stamp
from skfau._parallel import run_in_any_order
from skfau._progress import Progress
from skfau.cli._camera import camera_source, watch
from skfau.cli._chain import Chain
from skfau.cli._leads import lead_people, only_leads
from skfau.cli._overlay import plan_overlays, write_overlays
from skfau.cli._result_table import columns_of, need_writer, table_writer
from skfau.cli._search import few_threads, search, search_elsewhere, unread
from skfau.cli._sources import Source, find_sources
from skfau.cli._timelines import need_plots, write_timelines
from skfau.cli._work_folder import WorkFolder


def predict(paths, camera, model, output, every, people, columns, plot, overlay):
    """Write the table of a command line; return the exit code.

    Parameters
    ----------
    paths : sequence of str
        Images, videos and folders of them.
    camera : int or None
        Number of a camera, in place of paths.
    model : str or None
        File of a chain, as `skfau.save` writes it; None means the shipped model.
    output : str
        The CSV or Parquet file to write.
    every : float or None
        Seconds between the frames of a video; None means all frames.
    people : {"all", "largest"}
        See `find_faces`.
    columns : {"skfau", "openface"}
        Names and order of the columns.
    plot : bool
        Whether to write a timeline per person and video.
    overlay : str or None
        Where to write copies with faces drawn: a file, or a folder.

    Returns
    -------
    code : int
        0, or 1 if an image or a video cannot be read.

    Raises
    ------
    ImportError, OSError, ValueError
        If nothing can be predicted; the message says why.
    """
    output = Path(output)
    _check_options(paths, camera, output, every, plot)
    sources, n_others = find_sources(paths) if camera is None else ([], 0)
    if camera is not None:
        sources = [camera_source(camera)]
    copies = plan_overlays(overlay, sources)
    chain = Chain(model)
    if not chain.by_frame and camera is not None:
        raise ValueError(
            "the model judges a face by the frames before and after it, which a camera "
            "does not have yet; take another --model, or a video of the camera."
        )
    files = [stamp(path) for s in sources for path in s.paths if camera is None]
    job = {"model": chain.digest, "paths": files, "every": every, "camera": camera}
    work = WorkFolder(output, {"version": skfau.__version__, **job})
    began = perf_counter()
    with few_threads():
        if camera is None:
            n_new = _search_all(work, sources, chain, every)
        else:
            seen = work, sources[0], camera, chain, every, people
            sources, n_new = _watch(*seen, copies.pop(sources[0].paths[0], None))
    speed = n_new / (perf_counter() - began)
    total = _write_all(work, sources, chain, output, people, columns, plot)
    if copies:
        write_overlays(copies, sources, _shown(work, sources, people), chain, every)
        print(f"wrote {overlay}")
    work.remove()
    others = f", {n_others} other files left out" if n_others else ""
    print(_summary(output, total, speed) + others)
    return 1 if total["unread"] else 0


def _check_options(paths, camera, output, every, plot):
    if bool(paths) == (camera is not None):
        raise ValueError("predict needs either paths or --camera.")
    # OpenCV crashes on some numbers below 0.
    if camera is not None and camera < 0:
        raise ValueError(f"--camera must be 0, the first, or above, got {camera}.")
    if plot:
        need_plots()
    need_writer(output)
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise ValueError(f"{output} is a folder, or its folder does not exist.")
    if every is not None and not 0 < every < np.inf:
        raise ValueError(f"--every must be seconds, above 0, got {every}.")


def _search_all(work, sources, chain, every):
    """Write all parts; return the number of frames that were searched now."""
    todo = [number for number in range(len(sources)) if not work.is_done(number)]
    if effective_n_jobs(None) > 1:
        return _search_elsewhere(work, sources, todo, chain, every)
    expected = [source.n_expected(every) for source in sources]
    total = None if None in expected else sum(expected)
    done = sum(n or 0 for n in expected) - sum(expected[k] or 0 for k in todo)
    n_new = 0
    with Progress("Searching", total, "frames", __name__, done=done) as bar:
        for number in todo:
            bar.title = Path(sources[number].paths[0]).name
            n_new += search(work, number, sources[number], chain, every, bar)
    return n_new


def _search_elsewhere(work, sources, todo, chain, every):
    """Search sources by the workers of joblib's backend."""
    jobs = (
        delayed(search_elsewhere)(
            work, number, sources[number].absolute, chain.path, chain.digest, every
        )
        for number in todo
    )
    n_new = 0
    with Progress("Searching", len(todo), "files", __name__) as bar:
        for n in run_in_any_order(jobs):
            n_new += n
            bar.update()
    unseen = [sources[number].paths[0] for number in todo if not work.is_done(number)]
    if unseen:
        raise OSError(
            f"workers have searched {unseen[0]} ({len(unseen)} files in all), but what "
            "they wrote is not seen here. A network disk may show it in a minute: run "
            "the same command again. If not, put the table (-o) on a disk that all "
            "machines see under the same path."
        )
    for number in todo:
        if fault := work.fault(number):
            print(f"not read: {fault}", file=sys.stderr)
    return n_new


def _watch(work, source, camera, chain, every, people, copy):
    """Watch a camera; return all that it has seen for this table, and new frames."""
    names = work.names()
    work.name(len(names), source.paths[0])
    n_new = watch(work, len(names), camera, chain, every, people, copy)
    # Earlier views were cut off before their table was written.
    earlier = [Source("camera", (name,)) for name in names]
    return [*earlier, source], n_new


def _write_all(work, sources, chain, output, people, kind, plot):
    """Write the table, and timelines; return the counts of its rows."""
    parts_of, total = _shown(work, sources, people), Counter()
    with table_writer(output) as write:
        for number, source in enumerate(sources):
            for part in parts_of(number):
                total.update(_counts(part))
                write(columns_of(part, source.paths, chain, kind))
            fault = work.fault(number)
            if fault:
                write(columns_of(_fault_part(chain, fault), source.paths, chain, kind))
            total["unread"] += bool(fault)
    if plot:
        written = write_timelines(output, sources, parts_of, chain)
        for path in written:
            print(f"wrote {path}")
        if not written:
            print("--plot drew nothing: no person is in several frames of a video")
    return total


def _shown(work, sources, people):
    """Return a function of a source's number: its parts, of all or of who leads."""

    def parts_of(number):
        leads = None
        if people == "largest" and work.n_parts(number):
            leads = lead_people(work.parts(number), sources[number].is_recording)
        for part in work.parts(number):
            yield part if leads is None else only_leads(part, leads)

    return parts_of


def _fault_part(chain, reason):
    """Return the row of a video that cannot be read."""
    numbers = {"source": 0, "frame": 0, "person": -1, "n_faces": 0}
    part = {name: np.array([value]) for name, value in numbers.items()}
    part |= {name: np.array([np.nan]) for name in ("time", "score")}
    part |= {"box": np.full((1, 4), np.nan), "status": np.array([reason])}
    return part | {"probabilities": np.full((1, len(chain.aus)), np.nan, np.float32)}


def _counts(part):
    first = np.unique(part["row"], return_index=True)[1]
    n_faces = part["n_faces"][first]
    n_unread = int(unread(part).sum())
    return {
        "frames": len(first) - n_unread,
        "faces": int((part["person"] >= 0).sum()),
        "empty": int((n_faces == 0).sum()) - n_unread,
        "several": int((n_faces > 1).sum()),
        "unread": n_unread,
    }


def _summary(output, total, speed):
    if total["frames"] and not total["faces"]:
        print(
            "no face was found: one must fill a tenth of the longer side of its image",
            file=sys.stderr,
        )
    return (
        f"{output}: {_count(total['frames'], 'frame')} (searched {speed:.1f} a "
        f"second), {_count(total['faces'], 'face')}, "
        f"{_count(total['empty'], 'frame')} without a face, "
        f"{_count(total['several'], 'frame')} with several people, "
        f"{total['unread']} not read"
    )


def _count(number, word):
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
