"""Drawn faces: people, their muscles and wrinkles, light and camera."""
