"""How the gallery runs the examples: all of them, their files taken as pictures."""

import ast
import shutil
import sys
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

DOCS = Path(__file__).parents[1]
HOUR = 3600  # seconds
CAPTION = "\n*After seconds of training* (``--small``).\n"


def output_folder(script):
    """Return where an example writes, seen from its folder; two run at a time."""
    return Path("figures", Path(script).stem)


def full_options(gallery_conf, script_vars):
    """Return the options that an example runs with."""
    script = Path(script_vars["src_file"])
    text = script.read_text("utf-8")
    # The first line of it is what argparse says; sphinx-gallery takes it away.
    script_vars["example_globals"]["__doc__"] = ast.get_docstring(ast.parse(text))
    return ["--output", str(output_folder(script))] if '"--output"' in text else []


def small_options(gallery_conf, script_vars):
    """Return the options that an example runs with, ``--small`` where it knows that."""
    small = '"--small"' in Path(script_vars["src_file"]).read_text("utf-8")
    return ["--small"] * small + full_options(gallery_conf, script_vars)


def take_pictures(block, block_vars, gallery_conf):
    """Move the pictures that a block of an example has written to its page."""
    script = Path(block_vars["src_file"])
    written = (script.parent / output_folder(script)).glob("*.png")
    written = sorted(written, key=lambda path: path.stat().st_mtime_ns)
    paths = [next(block_vars["image_path_iterator"]) for _ in written]
    for path, new in zip(written, paths, strict=True):
        shutil.move(path, new)
    caption = CAPTION if paths and "--small" in sys.argv else ""
    # One below the other: side by side they would be too small to read.
    figures = [figure_rst([path], gallery_conf["src_dir"]) for path in paths]
    return "\n".join(figures) + caption


def settings(full):
    """Return the settings of sphinx-gallery."""
    return {
        "examples_dirs": str(DOCS.parent / "examples"),
        "gallery_dirs": "gallery",
        "filename_pattern": r"\.py$",
        "within_subsection_order": "FileNameSortKey",
        "reset_argv": f"gallery.{'full' if full else 'small'}_options",
        "image_scrapers": ("gallery.take_pictures",),
        "capture_repr": (),
        # The scripts are in the repository; seconds say more about the machine.
        "download_all_examples": False,
        "notebook_extensions": (),
        "write_computation_times": False,
        "min_reported_time": HOUR,
        "parallel": True,
    }
