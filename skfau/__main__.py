"""Command line: ``python -m skfau demo``."""

import argparse

from skfau._demo import run_demo


def main(argv=None):
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(prog="python -m skfau", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="train and score FAUTransformerClassifier on made faces, by subject",
    )
    demo.add_argument("--output", default="skfau_demo", help="folder of the figures")
    demo.add_argument("--subjects", type=int, default=90, help="number of subjects")
    demo.add_argument("--frames", type=int, default=8, help="frames per subject")
    demo.add_argument("--epochs", type=int, default=12, help="epochs per fold")
    arguments = parser.parse_args(argv)
    run_demo(
        output=arguments.output,
        n_subjects=arguments.subjects,
        n_frames=arguments.frames,
        max_epochs=arguments.epochs,
    )


if __name__ == "__main__":
    main()
