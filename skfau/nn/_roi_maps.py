"""Regions of interest (ROI) of AUs as maps, placed by landmarks, in torch."""

import torch
from torch import nn

from skfau._landmark_layouts import PARTS
from skfau.facs import DATASET_AUS, _paired_rules

__all__ = ["ROIRule", "draw_diamonds", "resolve_aus"]


def resolve_aus(n_aus, aus):
    """Return AU numbers; None takes the first `n_aus` of BP4D.

    Parameters
    ----------
    n_aus : int
        Number of AUs.
    aus : sequence of int or None
        Their FACS numbers.
    """
    if aus is None:
        aus = DATASET_AUS["bp4d"][:n_aus]
        how = f"None names no more than the {len(DATASET_AUS['bp4d'])} of BP4D"
    else:
        how = f"got {tuple(aus)}"
    if len(aus) != n_aus:
        raise ValueError(
            f"aus must name {n_aus} AUs, whose places on the face differ; {how}."
        )
    return tuple(aus)


class ROIRule(nn.Module):
    """Two centres per AU from landmarks; no weights.

    Parameters
    ----------
    aus : sequence of int
        FACS numbers.
    convention : {"jaa", "eac", "aunet"}
        Whose rule, see `skfau.facs.ROI_RULES`.
    n_landmarks : {49, 51, 66, 68}, default=68
        Layout of the landmarks.

    Raises
    ------
    ValueError
        If the convention has no rule for an AU, or the layout lacks its landmarks.
    """

    def __init__(self, aus, convention, n_landmarks=68):
        super().__init__()
        points, offsets = _paired_rules(aus, convention)
        row = {landmark: i for i, landmark in enumerate(PARTS[n_landmarks])}
        for au, numbers in zip(aus, points, strict=True):
            if not row.keys() >= {i for pair in numbers for i in pair}:
                raise ValueError(
                    f"{n_landmarks} landmarks are too few to place AU{au}. Pass "
                    "n_landmarks=68."
                )
        rows = [[[row[i] for i in pair] for pair in numbers] for numbers in points]
        self.inner_corners = row[39], row[42]
        self.register_buffer("points", torch.tensor(rows), persistent=False)
        self.register_buffer("offsets", torch.tensor(offsets), persistent=False)

    def forward(self, landmarks):
        """Return centres (n, n_aus, 2, 2) for landmarks (n, n_landmarks, 2).

        Pixels, x then y; NaN where a landmark that the centre needs is NaN.
        """
        left, right = (landmarks[:, i, 0] for i in self.inner_corners)
        unit = (left - right).abs().view(-1, 1, 1)
        centres = landmarks[:, self.points].mean(dim=3)
        x, y = centres.unbind(dim=-1)
        return torch.stack([x, y + self.offsets * unit], dim=-1)


def draw_diamonds(centres, size, support, slope):
    """Return maps that fall off with the city-block distance from two centres.

    Parameters
    ----------
    centres : Tensor of shape (n, n_aus, 2, 2)
        Cells of the map, x then y, the middle of the first cell at 0; NaN draws none.
    size : int
        Height and width of the maps, cells.
    support : float
        Beyond this distance in x or in y a centre adds nothing, cells.
    slope : float
        What the value, 1 at a centre, loses per cell.

    Returns
    -------
    maps : Tensor of shape (n, n_aus, size, size)
        In [0, 1]; the larger value of the two centres.
    """
    cells = torch.arange(size, device=centres.device, dtype=centres.dtype)
    distance = (cells - centres.unsqueeze(-1)).abs()
    loss = torch.where(distance <= support, slope * distance, 1.0)
    x, y = loss.unbind(dim=3)
    return (1 - (x.unsqueeze(3) + y.unsqueeze(4)).amin(dim=2)).clamp(min=0)
