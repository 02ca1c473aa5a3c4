"""Numbers as programs of all systems write them."""

import re

# "-nan(ind)" and "-1.#IND" are how Windows writes NaN, "1.#INF" how it writes infinity.
_NAN = re.compile(
    r"[+-]?(nan(\([a-z0-9]*\))?|1\.#(ind|qnan|snan|nan)0*)", re.IGNORECASE
)
_INF = re.compile(r"([+-]?)1\.#inf0*", re.IGNORECASE)
_MISSING = ("", "none", "na", "<na>")


def is_missing(text):
    """Say whether a cell, without blanks around it, stands for no value."""
    return text.lower() in _MISSING or bool(_NAN.fullmatch(text))


def plain_number(text):
    """Return a number in the spelling that `float` and NumPy read; other text as is."""
    text = text.strip()
    if _NAN.fullmatch(text):
        return "nan"
    return _INF.sub(r"\1inf", text) if _INF.fullmatch(text) else text


def to_float(text):
    """Return the number in a cell, NaN where it is empty; ValueError if it is none."""
    try:
        return float(text)
    except ValueError:
        return float(plain_number(text) or "nan")
