"""Published subject partitions: lists of subject names, and who numbers them how."""

# The three parts in the order of JAA-Net's lists; other codebases share the parts
# and differ in which of them "fold 1" tests on.
_PARTS = {
    "bp4d": (
        "F001 F002 F008 F009 F010 F016 F018 F023 M001 M004 M007 M008 M012 M014",
        "F003 F005 F011 F013 F020 F022 M002 M005 M010 M011 M013 M016 M017 M018",
        "F004 F006 F007 F012 F014 F015 F017 F019 F021 M003 M006 M009 M015",
    ),
    "disfa": (
        "SN001 SN002 SN009 SN010 SN016 SN026 SN027 SN030 SN032",
        "SN006 SN011 SN012 SN013 SN018 SN021 SN024 SN028 SN031",
        "SN003 SN004 SN005 SN007 SN008 SN017 SN023 SN025 SN029",
    ),
}
_ORDERS = {
    ("jaa", "bp4d"): (0, 1, 2),
    ("jaa", "disfa"): (0, 1, 2),
    ("me-graphau", "bp4d"): (2, 1, 0),
    ("me-graphau", "disfa"): (2, 1, 0),
    ("au-net", "bp4d"): (2, 1, 0),
    ("au-net", "disfa"): (0, 1, 2),
}


def published_folds(name, numbering="jaa"):
    """Return the test subjects of each fold of a published partition.

    JAA-Net, ME-GraphAU and AU-Net use the same three parts of BP4D's 41 and DISFA's
    27 subjects, but not the same numbers: ME-GraphAU's fold 1 tests on the third
    part of JAA-Net, and AU-Net's does so on BP4D only. A network scored on the fold
    of another numbering has seen its test subjects.

    Parameters
    ----------
    name : {"bp4d", "disfa"}
        Data set.
    numbering : {"jaa", "me-graphau", "au-net"}, default="jaa"
        Whose numbers.

    Returns
    -------
    folds : tuple of tuple of str
        Test subjects of fold 1, 2 and 3; all other subjects are for training.

    Raises
    ------
    ValueError
        If there is no such data set or numbering.

    Examples
    --------
    >>> from skfau.datasets import published_folds
    >>> [len(fold) for fold in published_folds("bp4d")]
    [14, 14, 13]
    >>> published_folds("bp4d", "me-graphau")[2] == published_folds("bp4d", "jaa")[0]
    True
    """
    if (numbering, name) not in _ORDERS:
        names = ", ".join(map(repr, _PARTS))
        numberings = ", ".join(map(repr, dict.fromkeys(key[0] for key in _ORDERS)))
        raise ValueError(
            f"there are published folds for {names}, numbered as by {numberings}; "
            f"got name={name!r}, numbering={numbering!r}"
        )
    return tuple(tuple(_PARTS[name][k].split()) for k in _ORDERS[numbering, name])
