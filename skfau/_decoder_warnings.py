"""What an image decoder says on the side: half of all damaged files it decodes."""

import contextlib
import os
import sys
import tempfile
from contextvars import ContextVar

#: Whether whoever reads images wants to hear that their pixels are damaged.
LISTENING = ContextVar("listening", default=False)
# libjpeg and libtiff go on behind what they cannot read, and say so in these words.
_COMPLAINTS = (
    b"Corrupt JPEG data",
    b"Premature end of JPEG file",
    b"Inconsistent progression sequence",
    b"TIFF_Error",
)


@contextlib.contextmanager
def overhear():
    """Collect complaints of decoders that write to the standard error.

    Yields
    ------
    said : list of str
        Filled at the end; what is written by others in between is passed on.
    """
    said = []
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        real = os.dup(2)
    except OSError:
        # Without a standard error there is nothing to hear.
        yield said
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(real, 2)
            os.close(real)
            caught.seek(0)
            for line in caught:
                if any(words in line for words in _COMPLAINTS):
                    said.append(line.decode(errors="replace").strip())
                else:
                    os.write(2, line)
