"""Rows of the table that `predict` writes."""

import csv
import io

import numpy as np


def header(aus, columns):
    """Return the first line of a table, as bytes."""
    return _csv([FORMATS[columns][0](aus)])


def rows_of(found, paths, probabilities, thresholds, columns):
    """Return lines of a table, as bytes.

    Parameters
    ----------
    found : Faces of n rows
        As `find_faces` returns them.
    paths : sequence of str
        File of each row.
    probabilities : ndarray of shape (n, n_aus)
        NaN where there is no face.
    thresholds : float or ndarray of shape (n_aus,)
        From which probability an AU is present.
    columns : {"skfau", "openface"}
        Whose names and order.
    """
    probabilities = np.asarray(probabilities, np.float32)
    present = (probabilities >= thresholds).astype(int).tolist()
    known = ~np.isnan(probabilities)
    cells = zip(
        paths,
        found.frame if "frame" in found.columns else np.zeros(len(found), int),
        found.time if "time" in found.columns else np.full(len(found), np.nan),
        found.person,
        found.n_faces,
        found.box,
        found.score,
        found.status,
        [[_number(value) for value in row] for row in probabilities],
        [
            [value if is_known else "" for value, is_known in zip(*pair, strict=True)]
            for pair in zip(present, known, strict=True)
        ],
        strict=True,
    )
    return _csv([FORMATS[columns][1](*row) for row in cells])


def unread_row(path, reason, n_aus, columns):
    """Return the line of a file that cannot be read, as bytes."""
    nothing = [""] * n_aus
    box = [np.nan] * 4
    make = FORMATS[columns][1]
    return _csv([make(path, 0, np.nan, -1, 0, box, np.nan, reason, nothing, nothing)])


def _csv(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _number(value):
    """Return the shortest text of a number, "" where it is not known."""
    return "" if np.isnan(value) else str(value)


def _names(aus, suffix):
    return [f"AU{au:02d}_{suffix}" for au in aus]


def _own_names(aus):
    box = ("box_left", "box_top", "box_right", "box_bottom")
    about = ("path", "frame", "time", "person", "n_faces", *box, "score", "status")
    return [*about, *_names(aus, "p"), *_names(aus, "c")]


def _own_row(path, frame, time, person, n_faces, box, score, status, p, present):
    place = [_number(value) for value in (*box, score)]
    return [path, frame, _number(time), person, n_faces, *place, status, *p, *present]


def _openface_names(aus):
    about = ("path", "frame", "face_id", "timestamp", "confidence", "success")
    return [*about, *_names(aus, "c")]


def _openface_row(path, frame, time, person, n_faces, box, score, status, p, present):
    # OpenFace counts frames from 1, and tells of a lost face by success alone.
    success = int(person >= 0 and status == "")
    confidence = 0.0 if np.isnan(score) else score
    about = [path, frame + 1, max(person, 0), _number(time), confidence, success]
    return [*about, *present]


#: Name of a format -> its columns, and a row of it.
FORMATS = {
    "skfau": (_own_names, _own_row),
    "openface": (_openface_names, _openface_row),
}
