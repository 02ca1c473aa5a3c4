"""Parts of all displays: import of matplotlib, colours and AU labels."""

from skfau.facs import ACTION_UNITS

# These colours of Okabe and Ito differ under the common forms of colour blindness.
BLUE, SKY_BLUE, ORANGE = "#0072B2", "#56B4E9", "#E69F00"
PALETTE = (BLUE, ORANGE, "#009E73", "#CC79A7", SKY_BLUE, "#D55E00", "#000000")
GRAY, LIGHT_GRAY = "#6b6b6b", "#d0d0d0"

_NAMES = {unit.code: unit.name for unit in ACTION_UNITS.values()}


def need_matplotlib(caller):
    """Raise if matplotlib is not installed, before anything long is computed."""
    try:
        import matplotlib.pyplot  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} draws with matplotlib, which is not installed: "
            "pip install 'skfau[plot]'."
        ) from error


def axes_for(ax, caller, figsize):
    """Return `ax`, or the axes of a new pyplot figure of `figsize` inches."""
    need_matplotlib(caller)
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=figsize, layout="constrained")[1]


def au_codes(aus):
    """Return "AU1", "AU2", ... for any numbers."""
    return [f"AU{au}" for au in aus]


def with_names(codes):
    """Append the FACS name where there is one: "AU12 lip corner puller"."""
    return [f"{code} {_NAMES.get(code, '').lower()}".rstrip() for code in codes]


def columns_of(shown, aus):
    """Return the columns of the AUs to be shown; all for None.

    Raises
    ------
    ValueError
        If one of them is not among `aus`.
    """
    if shown is None:
        return list(range(len(aus)))
    missing = [au for au in shown if au not in aus]
    if missing:
        raise ValueError(
            f"aus must be among those of the display, {tuple(aus)}, got {missing}."
        )
    return [list(aus).index(au) for au in shown]
