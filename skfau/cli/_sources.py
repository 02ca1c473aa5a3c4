"""What the user's paths hold: videos, and images in blocks."""

from pathlib import Path
from typing import NamedTuple

from skfau._video_index import VIDEO_SUFFIXES
from skfau.exceptions import DatasetError, FaceImageError
from skfau.faces import Faces

_IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_BLOCK = 256  # images that are one source


class Source(NamedTuple):
    """A video, or some images: what is searched for faces at once."""

    is_video: bool
    paths: tuple

    def faces(self, every):
        """Return its frames as faces; FaceImageError names a video that is none."""
        if not self.is_video:
            return Faces(self.paths)
        return Faces.from_videos(list(self.paths), every=every)


def find_sources(paths):
    """Return what paths hold, in their order, and the number of other files.

    Parameters
    ----------
    paths : sequence of str
        Images, videos and folders of them; of a folder all files, sorted by name,
        without those in folders in it and hidden ones.

    Returns
    -------
    sources : list of Source
    n_others : int
        Files of folders that are neither image nor video.

    Raises
    ------
    FaceImageError
        If a path is missing, or is neither.
    DatasetError
        If a folder holds neither images nor videos.
    """
    files, n_others = [], 0
    for path in map(Path, paths):
        if path.is_dir():
            found = [p for p in sorted(path.iterdir()) if not p.name.startswith(".")]
            found = [p for p in found if p.is_file()]
            known = [p for p in found if _is_video(p) or _is_image(p)]
            if not known:
                raise DatasetError(
                    f"there is no image or video in the folder {path} "
                    f"({len(found)} other files); check the path."
                )
            files += known
            n_others += len(found) - len(known)
        else:
            _check_kind(path)
            files.append(path)
    return _in_blocks(files), n_others


def _check_kind(path):
    if not path.exists():
        raise FaceImageError(f"there is no file or folder {path}; check the path.")
    if not (_is_video(path) or _is_image(path)):
        raise FaceImageError(
            f"{path} is neither an image ({', '.join(_IMAGE_SUFFIXES)}) nor a "
            f"video ({', '.join(VIDEO_SUFFIXES)}) by its suffix."
        )


def _is_video(path):
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_image(path):
    return path.suffix.lower() in _IMAGE_SUFFIXES


def _in_blocks(files):
    """Return a source per video, and one per block of images between them."""
    sources = []
    for path in map(str, files):
        last = sources[-1] if sources else None
        if _is_video(Path(path)):
            sources.append(Source(True, (path,)))
        elif last is None or last.is_video or len(last.paths) == _BLOCK:
            sources.append(Source(False, (path,)))
        else:
            sources[-1] = Source(False, (*last.paths, path))
    return sources
