"""From photographs to what networks take: alignment, landmarks, ROI heatmaps."""

from skfau.preprocessing._align import FaceAligner
from skfau.preprocessing._detection import MeshDetector
from skfau.preprocessing._dlib import DlibDetector

__all__ = ["DlibDetector", "FaceAligner", "MeshDetector"]
