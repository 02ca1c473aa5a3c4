"""Rendered faces: files of them, and those that the package carries."""
