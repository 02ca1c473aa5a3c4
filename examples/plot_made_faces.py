"""What does each AU look like on a made face?
===========================================

Writes a sheet with one cell for each AU that `make_faces` can draw: the person at rest
on the left, the AU alone at its full intensity on the right. Below it, frames of a
made data set with the AUs that are present, as a classifier gets to see them. Needs
matplotlib. ::

    python examples/plot_made_faces.py [--output FOLDER] [--person N]
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from skfau.datasets import draw_faces, make_faces
from skfau.facs import action_unit

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 43)
COLUMNS = 3

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--output", type=Path, default=Path("figures"))
parser.add_argument(
    "--person", type=int, help="who is drawn; an average face if left out"
)
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)

# %%
# Row 0 is the face at rest, row k the k-th AU alone at intensity 5.
intensity = np.vstack([np.zeros(len(AUS)), 5 * np.eye(len(AUS))])
faces = draw_faces(intensity, AUS, image_size=224, person=options.person)
rest, *acting = faces.images[...]

sheet_rows = -(-len(AUS) // COLUMNS)
figure, axes = plt.subplots(
    sheet_rows + 2, COLUMNS, figsize=(3.6 * COLUMNS, 2.1 * (sheet_rows + 2))
)
for axis in axes.flat:
    axis.axis("off")
for axis, au, face in zip(axes.flat, AUS, acting, strict=False):
    axis.imshow(np.concatenate([rest, face], axis=1))
    axis.set_title(f"AU{au}  {action_unit(au).name}", fontsize=10)

# %%
# In a made data set AUs mix, set in, hold and fade: two frames of each person.
made = make_faces(n_subjects=6, n_frames=24, aus=AUS, random_state=0)
for axis, subject in zip(axes[-2:].flat, np.unique(made.data.subject), strict=True):
    # The second video's frames with the fewest and with the most AUs.
    rows = np.flatnonzero(made.data.video == f"{subject}_T2")
    order = rows[made.intensity[rows].sum(axis=1).argsort()]
    pair = order[[0, -1]]
    axis.imshow(np.concatenate(list(made.data.images[pair]), axis=1))
    few, many = (
        " ".join(
            str(au) for au, here in zip(AUS, made.target[row], strict=True) if here
        )
        for row in pair
    )
    axis.set_title(f"{subject}: {few or 'no AU'}  |  {many}", fontsize=9)

figure.tight_layout()
path = options.output / "made_faces.png"
figure.savefig(path, dpi=110)
print(f"wrote {path}")
