"""What a small view of faces takes along into a pickle: its rows, not the store."""

import numpy as np

from skfau._columns import Column, row_array
from skfau._kept import keep, still_shows


def without_the_rest(faces, before=None):
    """Return a view with what is needed of its store and columns, or the view itself.

    Parameters
    ----------
    faces : Faces
        A view; of one with more than half of the store's rows there is no less.
    before : Faces or None, default=None
        What this function returned for the same view; returned again if it still
        holds, so that joblib knows its arrays and writes them once.

    Returns
    -------
    faces : Faces
        The same rows, neighbours and fingerprint.
    """
    store, timeline = faces.store, faces._timeline
    rows = np.unique(row_array(faces._rows))
    if 2 * len(rows) > len(store):
        return faces
    own, entries = None, ()
    if timeline is not None:
        own = faces._columns["frame"].at
        here = np.unique(row_array(faces._rows if own is None else own))
        try:
            entries = timeline.recordings_of(here)
        except ValueError:
            # Ambiguous frames: the whole is needed for the same error.
            return faces
        rows = np.union1d(rows, timeline.rows_of(entries))
    rows = rows.astype(np.intp, copy=False)
    if before is not None and still_shows(before.store, store):
        return before
    columns = {}
    for name, (data, at) in faces._columns.items():
        places = rows
        if at is not None:
            places = np.unique(row_array(at))
            places = places[places >= 0]
            if at is own:
                places = np.union1d(places, entries)
        columns[name] = Column(keep(data, places.astype(np.intp, copy=False)), at)
    changes = {"store": keep(store, rows), "columns": columns}
    if timeline is not None:
        changes["timeline"] = timeline.kept(entries)
    if faces._origin is not None:
        changes["origin"] = keep(faces._origin, rows)
    return faces._derive(**changes)
