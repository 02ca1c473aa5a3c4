"""The size that an image file claims, before any memory is asked for it."""

import os
import re
import stat
import struct

_OTHER_EXIF = (b"Exif", b"eXIf", b"EXIF", b"II*\0", b"MM\0*")
_HEAD = 2**14  # bytes in which most headers end
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_SINGLE = {0x01, 0xFF, *range(0xD0, 0xD9)}
# A block of 8 x 8 pixels takes one bit at least.
_JPEG_PIXELS_PER_BYTE = 8 * 64
_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274
_EXIF = b"Exif\0\0"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PHOTOGRAPHS = (b"\xff\xd8", b"\x89PNG", b"BM", *_TIFF)
_PNM = re.compile(rb"P[1-6Ff](?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")
_PAM = re.compile(rb"P7\s.*?WIDTH\s+(\d+).*?HEIGHT\s+(\d+)", re.DOTALL)
_RADIANCE = re.compile(rb"#\?.*?\n[-+]([XY])\s+(\d+)\s+[-+][XY]\s+(\d+)", re.DOTALL)


def claimed_size(data):
    """Return the (width, height) that the header of an image file claims.

    Parameters
    ----------
    data : bytes
        The file, or its beginning.

    Returns
    -------
    tuple of int, or None
        In pixels, before the turn that an EXIF tag asks for. None if the format is
        none of those that OpenCV reads, or the header is not whole.
    """
    for starts, read in _READERS:
        if data.startswith(starts):
            try:
                return read(data)
            except (struct.error, LookupError, ValueError):
                return None
    return None


def is_photograph(path):
    """Say whether a file begins as a JPEG, PNG, BMP, TIFF or WebP, under any name."""
    try:
        # Pipes and devices would be read for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return False
        with open(path, "rb") as file:  # noqa: PTH123
            head = file.read(12)
    except OSError:
        return False
    # A video may begin with RIFF, too.
    return head.startswith(_PHOTOGRAPHS) or head[8:] == b"WEBP"


def size_of_file(path):
    """Return the (width, height) of an image file as it is decoded.

    NaN where that is not known: the file cannot be read, is of another format, or has
    a tag that may turn it.
    """
    unknown = (float("nan"), float("nan"))
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return unknown
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            data = file.read(_HEAD)
            size = claimed_size(data)
            if size is None and len(data) == _HEAD:
                data += file.readall()
                size = claimed_size(data)
    except OSError:
        return unknown
    if size is None or size[0] == size[1]:
        return size or unknown
    turned = _is_turned(data)
    return unknown if turned is None else size[::-1] if turned else size


def _is_turned(data):
    """Say whether an EXIF tag lays an image on its side; None where not known."""
    if data[:2] != b"\xff\xd8":
        # What decoders make of the tag in other formats depends on their version.
        return None if any(w in data[:_HEAD] for w in _OTHER_EXIF) else False
    at = data.find(_EXIF, 0, _HEAD)
    if at < 0:
        return False
    try:
        tags = _tiff_tags(data[at + len(_EXIF) :], (_ORIENTATION,))
    except (struct.error, LookupError):
        return None
    return tags.get(_ORIENTATION, 1) > 4


def is_shorter_than_claimed(data, size):
    """Say whether a JPEG file has fewer bytes than any of its size."""
    pixels = size[0] * size[1]
    return data[:2] == b"\xff\xd8" and pixels > _JPEG_PIXELS_PER_BYTE * len(data)


def _png(data):
    return struct.unpack_from(">II", data, 16)


def _gif(data):
    return struct.unpack_from("<HH", data, 6)


def _bmp(data):
    if struct.unpack_from("<I", data, 14)[0] == 12:
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    # A negative height means rows from top to bottom.
    return abs(width), abs(height)


def _sun_raster(data):
    return struct.unpack_from(">II", data, 4)


def _jpeg(data):
    at = 2
    while True:
        marker = data[at + 1]
        if data[at] != 0xFF:
            # Decoders skip what is between segments.
            at = data.index(b"\xff", at)
        elif marker in _JPEG_SINGLE:
            at += 1
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def _webp(data):
    kind = data[12:16]
    if kind == b"VP8X":
        sides = data[24:27] + b"\0" + data[27:30] + b"\0"
        return tuple(side + 1 for side in struct.unpack("<II", sides))
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return tuple(side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))


def _tiff(data):
    found = _tiff_tags(data, (_WIDTH, _HEIGHT))
    return found[_WIDTH], found[_HEIGHT]


def _tiff_tags(data, wanted):
    """Return the numbers of some tags of the first image of a TIFF file."""
    order = "<" if data[:1] == b"I" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    at = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)[0]
    count, length = ("Q", 20) if big else ("H", 12)
    n_entries = struct.unpack_from(f"{order}{count}", data, at)[0]
    at += struct.calcsize(count)
    found = {}
    for _ in range(n_entries):
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag in wanted:
            number = f"{order}{_TIFF_NUMBERS[kind]}"
            found[tag] = struct.unpack_from(number, data, at + (12 if big else 8))[0]
        if tag >= max(wanted):
            # Tags are sorted.
            break
        at += length
    return found


def _jp2(data):
    height, width = struct.unpack_from(">II", data, data.index(b"ihdr") + 4)
    return width, height


def _j2k(data):
    width, height, left, top = struct.unpack_from(">IIII", data, 8)
    return width - left, height - top


def _avif(data):
    # The largest of the image, its thumbnail and its layers.
    sizes = [
        struct.unpack_from(">II", data, found.end() + 4)
        for found in re.finditer(b"ispe", data)
    ]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _netpbm(data):
    found = (_PAM if data[1:2] == b"7" else _PNM).match(data)
    return (int(found[1]), int(found[2])) if found else None


def _radiance(data):
    found = _RADIANCE.match(data)
    if not found:
        return None
    first, second = int(found[2]), int(found[3])
    return (first, second) if found[1] == b"X" else (second, first)


# Beginnings of a file of each format that OpenCV reads, and what reads its size.
_READERS = (
    (b"\x89PNG", _png),
    (b"\xff\xd8", _jpeg),
    (b"BM", _bmp),
    (_TIFF, _tiff),
    (b"RIFF", _webp),
    (b"GIF8", _gif),
    (b"\0\0\0\x0cjP  ", _jp2),
    (b"\xff\x4f\xff\x51", _j2k),
    (tuple(b"\0\0\0" + bytes([n]) + b"ftyp" for n in range(256)), _avif),
    (b"\x59\xa6\x6a\x95", _sun_raster),
    (tuple(b"P%c" % c for c in b"1234567Ff"), _netpbm),
    (b"#?", _radiance),
)
