"""Videos of every kind that OpenCV writes, and that it cannot write."""

import cv2
import numpy as np

#: File name -> the code of what encodes it.
CODECS = {
    "motion_jpeg.avi": "MJPG",
    "mpeg4.avi": "XVID",
    "mpeg4.mp4": "mp4v",
    "mpeg4.mkv": "mp4v",
    "mpeg4.ts": "mp4v",
    "mpeg2.ts": "mpg2",
    "mpeg1.mpg": "mpg1",
    "mpeg2.mpg": "mpg2",
    "vp8.webm": "VP80",
}


def write_video(path, n=60, fourcc=None, rate=25):
    """Write frames that show their number as six black or white stripes."""
    fourcc = cv2.VideoWriter_fourcc(*(fourcc or CODECS[path.name]))
    writer = cv2.VideoWriter(str(path), fourcc, rate, (96, 32))
    assert writer.isOpened()
    for t in range(n):
        bits = (t >> np.arange(6) & 1).astype(np.uint8) * 255
        stripes = np.repeat(bits, 16)[None, :, None]
        writer.write(np.broadcast_to(stripes, (32, 96, 3)).copy())
    writer.release()
    return path


def numbers(images):
    """Read the numbers back; codecs blur, so from the middle of each stripe."""
    middles = [image[8:24, 8::16].mean(axis=(0, 2)) > 127 for image in images]
    return [int(bits @ (1 << np.arange(6))) for bits in middles]


def plain(path):
    """Read a video to its end, as a loop over cv2.VideoCapture does."""
    capture, images = cv2.VideoCapture(str(path)), []
    while True:
        read, image = capture.read()
        if not read:
            return images
        images.append(image[..., ::-1])


def vary_rate(path, fast=20, slow=3):
    """Make frames from the ``fast``-th on take ``slow`` times as long, in an MP4."""
    data = bytearray(path.read_bytes())
    head = data.rindex(b"moov")
    assert data.index(b"mdat") < head
    # The table of durations: one entry (number of frames, duration) becomes two.
    at = data.index(b"stts", head)
    n, ticks = (int.from_bytes(data[at + k : at + k + 4], "big") for k in (12, 16))
    entries = [2, fast, ticks, n - fast, slow * ticks]
    data[at + 8 : at + 20] = b"".join(x.to_bytes(4, "big") for x in entries)
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        place = data.index(box, head) - 4
        size = int.from_bytes(data[place : place + 4], "big") + 8
        data[place : place + 4] = size.to_bytes(4, "big")
    # The list of edits tells the old length.
    at = data.index(b"edts", head)
    data[at : at + 4] = b"free"
    path.write_bytes(data)
    return path


def turn(path):
    """Say that an MP4 is to be shown turned by a quarter, as telephones do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    matrix = [0, 1 << 16, 0, 2**32 - (1 << 16), 0, 0, 32 << 16, 0, 1 << 30]
    data[at : at + 36] = b"".join(x.to_bytes(4, "big") for x in matrix)
    path.write_bytes(data)
    return path


def forget_length(path):
    """Take length and table of contents from a WebM, as browsers record it."""
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89\x88")
    data[at : at + 11] = b"\xec\x89" + bytes(9)
    path.write_bytes(data[: data.rindex(b"\x1cS\xbbk")])
    return path


def cut_behind_header(path):
    """Put the header of an MP4 before the pixels, and keep the beginning."""
    data = path.read_bytes()
    pixels, head = data.index(b"mdat") - 4, data.rindex(b"moov") - 4
    moved = bytearray(data[head:])
    at = moved.index(b"stco")
    for k in range(int.from_bytes(moved[at + 8 : at + 12], "big")):
        place = slice(at + 12 + 4 * k, at + 16 + 4 * k)
        offset = int.from_bytes(moved[place], "big") + len(moved)
        moved[place] = offset.to_bytes(4, "big")
    path.write_bytes(data[:pixels] + moved + data[pixels : (pixels + head) // 2])
    return path


def cut(path, kept=0.8):
    """Keep the beginning of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    return path


#: Name of a file, and what happens to it after it was written.
FILES = [
    *((name, None) for name in CODECS),
    *((name, cut) for name in CODECS if not name.endswith("4.mp4")),
    ("mpeg4.mp4", cut_behind_header),
    ("mpeg4.mp4", vary_rate),
    ("mpeg4.mp4", turn),
    ("vp8.webm", forget_length),
]
