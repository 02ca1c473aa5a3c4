"""The commands, their options and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import skfau
from skfau._progress import shown
from skfau.cli._predict import predict
from skfau.cli._result_table import FORMATS
from skfau.cli._train import score, train

_INTERRUPTED = 130  # what shells give for Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of ``python -m skfau``.

    Parameters
    ----------
    argv : sequence of str, default=None
        The arguments; None means those of the process.

    Returns
    -------
    code : int
        0; 1 if an error ended the command, or some images or videos cannot be read;
        130 after Ctrl-C.

    Raises
    ------
    SystemExit
        If the arguments are not valid (code 2), or help is asked for.

    Examples
    --------
    >>> from skfau.cli import main
    >>> main(["predict", "no_such_video.mp4", "--model", "mine.safetensors"])
    1
    """
    # The error that follows says in one line what decoders say in many.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    arguments = vars(_parser().parse_args(argv))
    command = arguments.pop("run")
    try:
        with shown():
            return command(**arguments)
    except KeyboardInterrupt:
        goes_on = command is predict and arguments["camera"] is None
        more = "; the same command goes on from here" if goes_on else ""
        print(f"interrupted{more}", file=sys.stderr)
        return _INTERRUPTED
    except (ImportError, OSError, ValueError) as error:
        # The library's errors are of these; a traceback would say no more.
        print(f"error: {' '.join(_text_of(error).split())}", file=sys.stderr)
        return 1


def _text_of(error):
    if isinstance(error, OSError) and error.filename and error.strerror:
        # What the system says begins with a number.
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m skfau", description="Facial action units (AUs) from images."
    )
    version = f"skfau {skfau.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_predict(commands)
    _add_train(commands)
    _add_score(commands)
    return parser


def _at_least(least):
    """Return what reads a whole number; argparse tells its errors before all work."""

    def read(text):
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {least} on, got {text!r}"
            )
        return int(text)

    return read


def _add_demo(commands):
    demo = commands.add_parser(
        "demo",
        help="what the shipped model finds in rendered people, where it looks, and "
        "how it learns, in about a minute",
    )
    demo.set_defaults(run=_demo)
    demo.add_argument(
        "--output",
        default="skfau_demo",
        help="folder of the figures (default: %(default)s)",
    )
    demo.add_argument(
        "--people",
        type=_at_least(3),
        default=72,
        help="rendered people to learn from, 18 to 72 (default: %(default)s)",
    )
    demo.add_argument(
        "--epochs",
        type=_at_least(1),
        default=4,
        help="epochs of each fit (default: %(default)s)",
    )


def _demo(output, people, epochs):
    from skfau._demo import run_demo

    if Path(output).is_file():
        raise ValueError(f"--output {output} is a file; give a folder.")
    run_demo(output, n_people=people, max_epochs=epochs)
    return 0


def _add_predict(commands):
    about = (
        "Write a table with a row per face and frame: who, where, and of each AU the "
        "probability (AU01_p), the intensity from 0 to 5 (AU01_r), if the model knows "
        "it, and whether it is present (AU01_c). Interrupted, the same command goes on "
        "where it was."
    )
    command = commands.add_parser(
        "predict",
        help="AUs of images, folders, videos or a camera, as a table",
        description=about,
    )
    command.set_defaults(run=predict)
    command.add_argument(
        "paths", nargs="*", metavar="PATH", help="image, video, or folder of them"
    )
    command.add_argument(
        "--camera",
        type=int,
        metavar="NUMBER",
        help="watch a camera (0 is the first) until Ctrl-C, in place of paths",
    )
    command.add_argument(
        "--model",
        metavar="FILE",
        help="chain of FaceAligner and classifier, written by skfau.save or by train "
        "(default: the shipped model, skfau.load_pretrained())",
    )
    command.add_argument(
        "--every",
        type=float,
        metavar="SECONDS",
        help="take a frame of a video every so many seconds (default: all frames)",
    )
    command.add_argument(
        "--people",
        choices=("all", "largest"),
        default="all",
        help="every face, or one per image (default: %(default)s)",
    )
    _add_what_to_write(command)


def _add_what_to_write(command):
    command.add_argument(
        "-o",
        "--output",
        default="aus.csv",
        metavar="FILE",
        help="table to write, .csv or .parquet; replaced once it is complete "
        "(default: %(default)s)",
    )
    command.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="skfau",
        dest="columns",
        help="names of the columns (default: %(default)s)",
    )
    command.add_argument(
        "--plot",
        action="store_true",
        help="write a picture of the AUs along each video, one per person, beside the "
        "table",
    )
    command.add_argument(
        "--overlay",
        metavar="FILE",
        help="write a copy in which faces and AUs are drawn (without sound); for "
        "several videos and images a folder",
    )


def _add_train(commands):
    command = commands.add_parser(
        "train",
        help="fine-tune on your own labels, scored by subject",
        description="Learn the AUs of a table from where the shipped model is. Print "
        "scores on people that a fit did not see, with 95 % intervals, and save a "
        "model, learned from all rows, for predict --model FILE.",
    )
    command.set_defaults(run=train)
    _add_labels(command)
    command.add_argument(
        "-o",
        "--output",
        default="model.safetensors",
        metavar="FILE",
        help="model to write (default: %(default)s)",
    )
    command.add_argument(
        "--epochs", type=_at_least(1), metavar="N", help="epochs of each fit"
    )
    command.add_argument(
        "--folds",
        type=_at_least(2),
        default=3,
        metavar="N",
        help="parts of the subjects, each scored by a fit on the others "
        "(default: %(default)s)",
    )


def _add_score(commands):
    command = commands.add_parser(
        "score",
        help="score a model on labelled images or frames",
        description="Print F1 and area under the ROC curve of each AU, with 95 % "
        "intervals over subjects, and what is left out.",
    )
    command.set_defaults(run=score)
    _add_labels(command)
    command.add_argument(
        "--model",
        metavar="FILE",
        help="chain written by skfau.save or by train (default: the shipped model)",
    )


def _add_labels(command):
    command.add_argument(
        "table",
        metavar="TABLE",
        help="CSV file with the columns path, subject, AU1, ...; for frames of a "
        "video also frame or time",
    )
    command.add_argument(
        "--root", metavar="FOLDER", help="what paths start from (default: the table's)"
    )
    command.add_argument(
        "--aus", type=int, nargs="+", metavar="AU", help="AUs (default: the table's)"
    )
    command.add_argument(
        "--threshold",
        type=float,
        metavar="LEVEL",
        help="labels are intensities from 0 to 5, present from this level on "
        "(default: they are 0 and 1)",
    )
    command.add_argument(
        "--unknown",
        type=float,
        nargs="+",
        default=(),
        metavar="CODE",
        help="codes of labels that are not known, such as 9, besides empty cells",
    )
    command.add_argument(
        "--seed",
        type=_at_least(0),
        default=0,
        help="of fits and intervals (default: 0)",
    )
