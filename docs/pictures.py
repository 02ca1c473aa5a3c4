"""Take the pictures of README and of the guide from what the demo writes.

    python -m skfau demo
    python docs/pictures.py skfau_demo

Writes ``docs/_static/overlay.jpg`` (a frame of the film as ``predict --overlay`` draws
it), ``attention.jpg`` and ``timeline.png``.
"""

import shutil
import sys
from pathlib import Path

import cv2

FRAME, ROWS = 55, slice(0, 580)
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 85]


def main(demo):
    """Write the three pictures from the demo's folder."""
    static = Path(__file__).parent / "_static"
    film = cv2.VideoCapture(str(demo / "film.mp4"))
    film.set(cv2.CAP_PROP_POS_FRAMES, FRAME)
    cv2.imwrite(str(static / "overlay.jpg"), film.read()[1][ROWS], QUALITY)
    attention = cv2.imread(str(demo / "attention.png"))
    cv2.imwrite(str(static / "attention.jpg"), attention, QUALITY)
    shutil.copy(demo / "timeline.png", static)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
