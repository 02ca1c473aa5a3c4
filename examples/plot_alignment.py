"""Detect 68 landmarks on a picture and align the face
===================================================

Needs matplotlib. Without a picture of yours it takes one of the package. The left panel
shows it with the detected landmarks and the square that is cut out; the others show the
aligned crop of several templates, with the landmarks moved along. ::

    python examples/plot_alignment.py [PICTURE] [--output FOLDER]
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from skfau import Faces
from skfau.datasets import sample_files
from skfau.preprocessing import FaceAligner, MeshDetector

TEMPLATES = ("eyes-nose-mouth", "jaa", "aunet", "box")
REGIONS = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, 68),
}


def draw_points(ax, landmarks, size):
    for i, (name, points) in enumerate(REGIONS.items()):
        x, y = landmarks[points].T
        ax.scatter(x, y, s=size, color=f"C{i}", edgecolors="white", lw=0.4, label=name)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--output", type=Path, default=Path("figures"))
parser.add_argument("picture", nargs="?", default=sample_files().pictures[-1])
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)

# %%
# The picture with its landmarks, then each template. What the first of them cuts out is
# drawn into the picture.
image = Faces([options.picture]).images[0]
faces = Faces(image[None], landmarks=MeshDetector()([image]))
figure, axes = plt.subplots(
    1, 1 + len(TEMPLATES), figsize=(16, 3.9), width_ratios=[1.25, 1, 1, 1, 1]
)
axes[0].imshow(image)
draw_points(axes[0], faces.landmarks[0], 9)
axes[0].legend(loc="lower right", fontsize=7, framealpha=0.8)
axes[0].set_title("picture and 68 landmarks")
for ax, template in zip(axes[1:], TEMPLATES, strict=True):
    aligner = FaceAligner(output_size=200, template=template, border_value=128)
    aligned = aligner.fit_transform(faces)
    ax.imshow(aligned.images[0])
    draw_points(ax, aligned.landmarks[0], 6)
    ax.set_title(f'template="{template}"')
    if template == TEMPLATES[0]:
        corners = np.array([[0, 0], [199, 0], [199, 199], [0, 199], [0, 0]])
        square = aligner.inverse_transform(aligned, corners[None])[0]
        axes[0].plot(*square.T, color="white", lw=1.5)
for ax in axes:
    ax.set_axis_off()
path = options.output / "alignment.png"
figure.savefig(path, dpi=110, bbox_inches="tight")
print(f"wrote {path}")
