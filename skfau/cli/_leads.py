"""One person of each image, once all of a recording is searched."""

import numpy as np

from skfau.preprocessing._tracks import lead_faces, places_of


def lead_people(parts, is_recording):
    """Return the person who leads each row, -1 where none does; see `find_faces`.

    Parameters
    ----------
    parts : iterable of dict of ndarray
        All of a source.
    is_recording : bool
        Whether its rows show the same people.
    """
    rows, people, sizes, n_rows = [], [], [], 0
    for part in parts:
        seen = part["person"] >= 0
        n_rows = int(part["row"][-1]) + 1
        if seen.any():
            rows.append(part["row"][seen])
            people.append(part["person"][seen])
            sizes.append(places_of(part["landmarks"][seen])[:, 2])
    leads = np.full(n_rows, -1)
    if rows:
        row, person = np.concatenate(rows), np.concatenate(people)
        key = person if is_recording else row * (person.max() + 1) + person
        key = np.unique(key, return_inverse=True)[1]
        face = lead_faces(row, key, np.concatenate(sizes), n_rows)
        leads[face >= 0] = person[face[face >= 0]]
    return leads


def only_leads(part, leads):
    """Return a row per frame of a part: that of the person who leads it."""
    lead, person = leads[part["row"]], part["person"]
    first = np.append(True, np.diff(part["row"]) > 0)
    kept = ((person >= 0) & (person == lead)) | ((lead < 0) & first)
    part = {name: values[kept] for name, values in part.items()}
    lost = (lead[kept] < 0) & (part["person"] >= 0)
    part["person"][lost] = -1
    for name in ("box", "score", "landmarks", "probabilities"):
        part[name][lost] = np.nan
    status = part["status"].astype(object)
    status[lost] = "no face but of other people"
    part["status"] = status.astype(str)
    return part
