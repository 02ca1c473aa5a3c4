"""What the user's paths hold: videos, and images in blocks."""

from pathlib import Path
from platform import node
from typing import NamedTuple

from skfau._image_size import is_photograph
from skfau._video_index import VIDEO_SUFFIXES
from skfau.cli._frames import expected_frames, image_batches, video_batches
from skfau.exceptions import DatasetError, FaceImageError
from skfau.faces import Faces

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_BLOCK = 256  # images that are one source


class Source(NamedTuple):
    """A video, some images or a camera: rows of one recording, or of none."""

    kind: str
    paths: tuple

    @property
    def is_recording(self):
        """Whether rows show the same people."""
        return self.kind != "images"

    @property
    def absolute(self):
        """The same with paths that hold in every folder."""
        return Source(
            self.kind, tuple(str(Path(path).absolute()) for path in self.paths)
        )

    def check_seen(self):
        """Raise FaceImageError if a file is not there on this machine."""
        for path in self.paths:
            if not Path(path).exists():
                raise FaceImageError(
                    f"{path} is not there on the machine {node()}, which is to search "
                    "it. Put images and videos on a disk that all workers see under "
                    "the same path, and run the same command again."
                )

    def batches(self, every, n_done):
        """Yield its images as faces from the `n_done`-th on, a batch at a time.

        Raises
        ------
        FaceImageError
            If a video cannot be decoded.
        """
        if self.kind == "images":
            return image_batches(self.paths, n_done)
        return video_batches(self.paths[0], every, n_done)

    def n_expected(self, every):
        """Return the number of its images by the header, or None."""
        if self.kind == "images":
            return len(self.paths)
        return expected_frames(self.paths[0], every)

    def faces(self, every):
        """Return all of its images as faces."""
        if self.kind == "images":
            return Faces(self.paths)
        return Faces.from_videos(list(self.paths), every=every)


def find_sources(paths):
    """Return what paths hold, in their order, and the number of other files.

    The suffix tells images from videos; but an image that is called as a video is one.

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
    # An empty name, as of a shell variable that is not set, would be this folder.
    if "" in paths:
        raise FaceImageError("a path is empty; check the command.")
    for path in map(Path, paths):
        if path.is_dir():
            found = [p for p in sorted(path.iterdir()) if not p.name.startswith(".")]
            found = [p for p in found if p.is_file()]
            known = [p for p in found if _is_known(p)]
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
    if not _is_known(path):
        raise FaceImageError(
            f"{path} is neither an image ({', '.join(IMAGE_SUFFIXES)}) nor a "
            f"video ({', '.join(VIDEO_SUFFIXES)}) by its suffix."
        )


def _is_known(path):
    return path.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)


def _is_video(path):
    # OpenCV would decode a photograph with such a suffix as a video of one frame.
    return path.suffix.lower() in VIDEO_SUFFIXES and not is_photograph(path)


def _in_blocks(files):
    """Return a source per video, and one per block of images between them."""
    sources = []
    for path in map(str, files):
        last = sources[-1] if sources else None
        if _is_video(Path(path)):
            sources.append(Source("video", (path,)))
        elif last is None or last.is_recording or len(last.paths) == _BLOCK:
            sources.append(Source("images", (path,)))
        else:
            sources[-1] = Source("images", (*last.paths, path))
    return sources
