"""Drawn faces: geometry, wrinkles, dynamics, light and camera."""
