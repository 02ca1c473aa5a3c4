"""From photographs to what networks take: alignment, landmarks, ROI heatmaps."""

from skfau.preprocessing._align import FaceAligner
from skfau.preprocessing._descriptors import HOGFeatures, LBPFeatures
from skfau.preprocessing._detection import MeshDetector
from skfau.preprocessing._dlib import DlibDetector
from skfau.preprocessing._find_faces import find_faces
from skfau.preprocessing._heatmaps import ROIHeatmaps, roi_heatmaps
from skfau.preprocessing._landmark_features import LandmarkFeatures
from skfau.preprocessing._mesh_features import MeshFeatures
from skfau.preprocessing._prepare import prepare

__all__ = [
    "DlibDetector",
    "FaceAligner",
    "HOGFeatures",
    "LBPFeatures",
    "LandmarkFeatures",
    "MeshDetector",
    "MeshFeatures",
    "ROIHeatmaps",
    "find_faces",
    "prepare",
    "roi_heatmaps",
]
