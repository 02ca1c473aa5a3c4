"""The figures that protocols are compared with."""

from skfau.facs import DATASET_AUS

# F1 in percent: AUs in the order of DATASET_AUS, then the mean as printed.
_FIGURES = {
    ("fau_transformer", "bp4d"): (
        *(51.7, 49.3, 61.0, 77.8, 79.5, 82.9, 86.3, 67.6, 51.9, 63.0, 43.7, 56.3),
        64.2,
    ),
    ("fau_transformer", "disfa"): (
        *(46.1, 48.6, 72.8, 56.7, 50.0, 72.1, 90.8, 55.4),
        61.5,
    ),
    ("wsarl", "bp4d"): (
        *(50.4, 35.1, 51.1, 74.4, 77.1, 81.6, 86.9, 57.8, 48.9, 58.8, 48.7, 54.2),
        60.4,
    ),
    ("wsarl", "disfa"): (*(51.0, 32.3, 61.3, 40.3, 47.6, 74.5, 94.0, 56.8), 57.2),
    ("sevnet", "bp4d"): (
        *(58.2, 50.4, 58.3, 81.9, 73.9, 87.8, 87.5, 61.6, 52.6, 62.2, 44.6, 47.6),
        63.9,
    ),
    ("sevnet", "disfa"): (*(55.3, 53.1, 61.5, 53.6, 38.2, 71.6, 95.7, 41.5), 58.8),
    ("sevnet", "bp4d_plus"): (
        *(47.9, 40.8, 31.2, 86.9, 87.5, 89.7, 88.9, 82.6, 39.9, 55.6, 59.4, 27.1),
        61.5,
    ),
    ("mlgcn", "bp4d_plus"): (
        *(40.2, 36.9, 32.5, 84.8, 88.9, 89.6, 89.3, 81.2, 53.3, 43.1, 55.9, 28.3),
        60.3,
    ),
    ("mscam", "bp4d_plus"): (
        *(38.3, 37.6, 25.0, 85.0, 90.9, 90.9, 89.0, 81.5, 60.9, 40.6, 58.2, 28.0),
        60.5,
    ),
    ("resnet", "bp4d_plus"): (
        *(34.6, 34.6, 33.1, 84.9, 87.0, 90.0, 88.9, 80.4, 53.3, 38.7, 54.7, 13.4),
        57.8,
    ),
}


def published_figures(protocol):
    """Return F1 in percent: AU number, or "mean" as printed, to figure."""
    figures = _FIGURES[protocol.system, protocol.dataset]
    return dict(zip((*DATASET_AUS[protocol.dataset], "mean"), figures, strict=True))
