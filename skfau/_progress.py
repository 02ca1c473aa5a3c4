"""How far long work is: a bar on a terminal, elsewhere a line a minute.

The lines also go to Python's ``logging``, as INFO of the room's logger
(``skfau.datasets``, ``skfau.estimators``, ...). Nothing global is changed: who wants a
log file sets it up, and who sets up nothing sees nothing without ``verbose``.
"""

import logging
import math
import multiprocessing
import sys
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar

# Seconds: what nobody has to be told of, between looks of a bar, between lines.
_SHORT, _BAR, _LINE = 3.0, 1.0, 60.0
# When each module wrote its last line: work that is done a thousand times, each time a
# few seconds, fills no log.
_told = {}
_SHOWN = ContextVar("whether all progress is shown", default=False)


def clock():
    """Return seconds; tests put a clock of their own here."""
    return time.monotonic()


@contextmanager
def shown():
    """Show progress on standard error without ``verbose``, as commands do."""
    before = _SHOWN.set(True)
    try:
        yield
    finally:
        _SHOWN.reset(before)


class Progress:
    """Count the steps of long work, and show them; use it in a ``with``.

    A step costs a look at the clock. Work of less than three seconds shows nothing. The
    last count is shown if there was one before, or no other line for a minute.

    Parameters
    ----------
    title : str
        What is done: "Detecting faces".
    total : int or None
        Number of steps; None if unknown.
    unit : str
        What a step is, plural.
    module : str
        Who works: ``__name__``; its room has the logger.
    verbose : bool or int, default=False
        Whether to show it on standard error, and not in the log alone.
    done : int, default=0
        Steps that were done before.

    Attributes
    ----------
    n : int
        Steps done.
    title : str
        May be changed.
    note : str
        Shown behind the numbers; may be changed.
    """

    def __init__(self, title, total, unit, module, verbose=False, *, done=0):
        self.title, self.note, self.n = title, "", done
        self._total, self._unit, self._done = total, unit, done
        self._module, self._verbose = module, verbose or _SHOWN.get()
        self._draws = bool(self._verbose) and _can_draw()
        self._bar, self._spoke = None, False
        self._began = clock()
        self._next = self._began + _SHORT

    def __enter__(self):
        return self

    def update(self, n=1):
        """Count steps."""
        self.n += n
        now = clock()
        if now >= self._next:
            self._next = now + _BAR
            self._show(now)

    def skip(self, n):
        """Count steps that were done before."""
        self._done += n
        self.update(n)

    def __exit__(self, kind, error, trace):
        now = clock()
        seconds = now - self._began
        if seconds >= _SHORT:
            if self._draws:
                self._draw(seconds)
            if self._spoke or self._silent_since(now):
                ending = "" if kind is None else ", stopped"
                self._tell(f"{self._counts()} in {_time(seconds)}{ending}", now)
        if self._bar is not None:
            self._bar.close()

    def _show(self, now):
        seconds = now - self._began
        if self._draws:
            self._draw(seconds)
        # The line of the last step comes at the end.
        if seconds >= _LINE and self.n != self._total and self._silent_since(now):
            text = f"{self._counts()} in {_time(seconds)}"
            if self._total is not None and self.n > self._done:
                rest = (self._total - self.n) / (self.n - self._done)
                text += f", {_time(seconds * rest)} left"
            self._tell(text, now)

    def _draw(self, seconds):
        # Imported where it is needed: most work is over before.
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(
                desc=self.title,
                total=self._total,
                unit=f" {self._unit}",
                # A bar inside another one goes when it is full.
                leave=None,
                smoothing=0,
                file=sys.stderr,
                dynamic_ncols=True,
            )
            self._bar.start_t -= seconds
        self._bar.n, self._bar.initial = self.n, self._done
        self._bar.set_description_str(self.title, refresh=False)
        self._bar.set_postfix_str(self.note, refresh=False)
        self._bar.refresh()

    def _counts(self):
        of_all = "" if self._total is None else f" of {self._total:,}"
        return f"{self.title}: {self.n:,}{of_all} {self._unit}"

    def _silent_since(self, now):
        """Say whether this module wrote no line in the last minute."""
        return now - _told.get(self._module, -math.inf) >= _LINE

    def _tell(self, text, now):
        text = f"{text}, {self.note}" if self.note else text
        if _write(text, self._module, self._verbose and not self._draws):
            self._spoke, _told[self._module] = True, now


def tell(text, module, verbose=False):
    """Write a line to the log, and on request to standard error.

    There it is written once: by the log, if somebody hears it and no terminal is there.

    Parameters
    ----------
    text : str
        The line.
    module : str
        Who speaks: ``__name__``; its room has the logger.
    verbose : bool or int, default=False
        Whether to write to standard error, too.
    """
    _write(text, module, verbose or _SHOWN.get())


def _write(text, module, verbose):
    """Write a line as `tell` does; return whether anybody gets it."""
    logger = logging.getLogger(".".join(module.split(".")[:2]))
    heard = logger.isEnabledFor(logging.INFO) and logger.hasHandlers()
    printed = verbose and (not heard or _can_draw())
    if not (heard or printed):
        return False
    from tqdm import tqdm

    # Bars step aside, also for a log that goes to the terminal.
    with tqdm.external_write_mode(file=sys.stderr):
        if heard:
            logger.info(text)
        if printed:
            print(text, file=sys.stderr, flush=True)
    return True


def _can_draw():
    """Say whether a bar can be drawn here.

    One terminal cannot show the bars of many workers, so that these write lines.
    """
    worker = (
        multiprocessing.parent_process() is not None
        or threading.current_thread() is not threading.main_thread()
    )
    if worker or sys.stderr is None:
        return False
    # A notebook is no terminal, but shows a bar in the same way.
    notebook = type(sys.stderr).__module__.startswith("ipykernel.")
    return notebook or sys.stderr.isatty()


def _time(seconds):
    """Return h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
