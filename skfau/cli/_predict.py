"""``python -m skfau predict``: from images, videos and cameras to a table of AUs."""

import sys
from collections import Counter
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm

import skfau
from skfau._arrays import stamp
from skfau.cli._chain import Chain
from skfau.cli._leads import lead_people, only_leads
from skfau.cli._result_table import columns_of, need_writer, table_writer
from skfau.cli._search import search, unread
from skfau.cli._sources import find_sources
from skfau.cli._work_folder import WorkFolder


def predict(paths, model, output, every, people, columns):
    """Write the table of a command line; return the exit code.

    Parameters
    ----------
    paths : sequence of str
        Images, videos and folders of them.
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
    _check_options(output, every)
    sources, n_others = find_sources(paths)
    chain = Chain(model)
    files = [stamp(path) for source in sources for path in source.paths]
    job = {"model": chain.digest, "paths": files, "every": every}
    work = WorkFolder(output, {"version": skfau.__version__, **job})
    began = perf_counter()
    n_new = _search_all(work, sources, chain, every)
    speed = n_new / (perf_counter() - began)
    total = write_table(output, work, sources, people, chain, columns)
    work.remove()
    others = f", {n_others} other files left out" if n_others else ""
    print(_summary(output, total, speed) + others)
    return 1 if total["unread"] else 0


def _check_options(output, every):
    need_writer(output)
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise ValueError(f"{output} is a folder, or its folder does not exist.")
    if every is not None and not 0 < every < np.inf:
        raise ValueError(f"--every must be seconds, above 0, got {every}.")


def _search_all(work, sources, chain, every):
    """Write all parts; return the number of frames that were searched now."""
    expected = [source.n_expected(every) for source in sources]
    total = None if None in expected else sum(expected)
    n_new = 0
    with tqdm(total=total, unit=" frames", disable=None, smoothing=0.05) as bar:
        for number, source in enumerate(sources):
            bar.set_description(Path(source.paths[0]).name)
            if work.is_done(number):
                bar.update(expected[number] or 0)
                continue
            n_new += search(work, number, source, chain, every, bar)
    return n_new


def write_table(output, work, sources, people, chain, kind):
    """Write the parts of all sources as a table; return the counts of its rows."""
    total = Counter()
    with table_writer(output) as write:
        for number, source in enumerate(sources):
            for part in shown_parts(work, number, source, people):
                total.update(_counts(part))
                write(columns_of(part, source.paths, chain, kind))
            fault = work.fault(number)
            if fault:
                write(columns_of(_fault_part(chain, fault), source.paths, chain, kind))
            total["unread"] += bool(fault)
    return total


def shown_parts(work, number, source, people):
    """Yield the parts of a source with the rows of all people, or of those who lead."""
    leads = None
    if people == "largest" and work.n_parts(number):
        leads = lead_people(work.parts(number), source.is_recording)
    for part in work.parts(number):
        yield part if leads is None else only_leads(part, leads)


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
        f"{output}: {total['frames']} frames (searched {speed:.1f} a second), "
        f"{total['faces']} faces, {total['empty']} frames without a face, "
        f"{total['several']} frames with several people, {total['unread']} not read"
    )
