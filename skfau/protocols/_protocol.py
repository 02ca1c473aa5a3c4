"""What each paper did on each data set, as far as it says so."""

from dataclasses import dataclass
from types import MappingProxyType

from skfau.facs import DATASET_AUS


@dataclass(frozen=True)
class Protocol:
    """How one system was evaluated on one data set.

    Attributes
    ----------
    system, dataset : str
        As in `run`.
    title : str
        Name of the system in its paper.
    source : str
        Paper and table of the published figures.
    estimator : str
        Class in `skfau.estimators`.
    parameters : dict
        Where the paper's experiment differs from the defaults of the class.
    aligner : dict
        Parameters of `skfau.preprocessing.FaceAligner`.
    loader : dict
        Parameters of the data set's loader: ``threshold``.
    folds : str or int
        Data set of the published partition, or a number of subject folds.
    pretrained_on : str or None
        Data set whose weights the training starts from.
    silent : tuple of str
        What the paper does not say, and what is done here.
    """

    system: str
    dataset: str
    title: str
    source: str
    estimator: str
    parameters: dict
    aligner: dict
    loader: dict
    folds: str | int
    pretrained_on: str | None
    silent: tuple

    @property
    def aus(self):
        """AUs of the table, in the order of the columns."""
        return DATASET_AUS[self.dataset]


_CUT = "Decisions are cut at 0.5; the paper does not say where."
_EPOCHS = (
    "No epoch is chosen by its score on the test fold, as released code of the field "
    "does; figures may come out lower for it."
)
_JACOB = "Jacob and Stenger, CVPR 2021, Table"
_SHAO = "Shao et al., arXiv:1808.03457v1, Table"
_YANG = "Yang et al., CVPR 2021, Table"
_HRISTOV = "Yang, Hristov et al., Proceedings of the IEEE 2023, Table"
_SEEN = "The network that is fine-tuned has seen all 41 subjects of BP4D."
_BOX = {"template": "box", "output_size": 224}
_ARL = {"template": "arl", "output_size": 200, "border_value": 128}
_SEV = {"output_size": 256}
_AUNET = {"template": "aunet", "output_size": 256}
_STOP = (
    "Training stops early by subjects held out of the training folds; the paper does "
    "not say by what."
)
_LANDMARKS = (
    "Without fan_weights= the face alignment network learns the landmarks of the "
    "training faces; the paper's is the published one.",
    "The weight of the divergence was picked from 0.1, 0.2 and 0.3; here it is 0.3.",
    "The authors' code averages a face and its mirror image; here the face is alone.",
)
_PLUS = (
    "The three folds of subjects are not published; here they balance AUs, so they "
    "are others.",
    _CUT,
)


def _make(
    system,
    dataset,
    title,
    source,
    estimator,
    *,
    aligner,
    silent,
    parameters=None,
    pretrained_on=None,
):
    return Protocol(
        *(system, dataset, title, source, estimator),
        parameters=parameters or {},
        aligner=aligner,
        loader={"threshold": 2} if dataset == "disfa" else {},
        folds=3 if dataset == "bp4d_plus" else dataset,
        pretrained_on=pretrained_on,
        silent=silent,
    )


def _on_bp4d_plus(system, title, estimator):
    return _make(
        *(system, "bp4d_plus", title, f"{_YANG} 3", estimator),
        parameters={"early_stopping": True},
        aligner=_SEV,
        silent=(*_PLUS, _STOP),
    )


_ALL = (
    _make(
        "fau_transformer",
        "bp4d",
        "FAU-Transformer",
        f"{_JACOB} 1",
        "FAUTransformerClassifier",
        parameters={"weights": "imagenet"},
        aligner=_BOX,
        silent=(
            _CUT,
            _EPOCHS,
            "Batch size, embedding size and the ellipses of the ROIs are not "
            "published; they are this library's defaults.",
        ),
    ),
    _make(
        "fau_transformer",
        "disfa",
        "FAU-Transformer",
        f"{_JACOB} 2",
        "FAUTransformerClassifier",
        parameters={"weights": "imagenet", "lr": 1e-5},
        aligner=_BOX,
        pretrained_on="bp4d",
        silent=(
            _CUT,
            _EPOCHS,
            "The text has intensities greater than 2; its references, and this run, "
            "2 and more.",
            "The network that is fine-tuned has seen all 41 subjects of BP4D; the "
            "paper does not say which.",
        ),
    ),
    _make(
        "wsarl",
        "bp4d",
        "WSARL",
        f"{_SHAO} 1",
        "WSARLClassifier",
        aligner=_ARL,
        silent=(_CUT, _EPOCHS, "The CRF's widths and weights are not published."),
    ),
    _make(
        "wsarl",
        "disfa",
        "WSARL",
        f"{_SHAO} 2",
        "WSARLClassifier",
        aligner=_ARL,
        pretrained_on="bp4d",
        silent=(
            _CUT,
            _EPOCHS,
            _SEEN,
        ),
    ),
    _make(
        "sevnet",
        "bp4d",
        "SEV-Net",
        f"{_YANG} 1",
        "SEVNetClassifier",
        parameters={"early_stopping": True},
        aligner=_SEV,
        silent=(_CUT, _STOP, "The descriptions are this library's own."),
    ),
    _make(
        "sevnet",
        "disfa",
        "SEV-Net",
        f"{_YANG} 2",
        "SEVNetClassifier",
        parameters={"early_stopping": True},
        aligner=_SEV,
        silent=(_CUT, _STOP, "The descriptions are this library's own."),
    ),
    _make(
        *("aunet", "bp4d", "AUNet", f"{_HRISTOV} XIII", "AUNetClassifier"),
        aligner=_AUNET,
        silent=(_CUT, *_LANDMARKS),
    ),
    _make(
        *("aunet", "disfa", "AUNet", f"{_HRISTOV} XIV", "AUNetClassifier"),
        aligner=_AUNET,
        pretrained_on="bp4d",
        silent=(
            _CUT,
            *_LANDMARKS,
            _SEEN,
        ),
    ),
    _on_bp4d_plus("sevnet", "SEV-Net", "SEVNetClassifier"),
    _on_bp4d_plus("mlgcn", "ML-GCN", "MLGCNClassifier"),
    _on_bp4d_plus("mscam", "MS-CAM", "MSCAMClassifier"),
    _on_bp4d_plus("resnet", "ResNet18", "ResNetClassifier"),
)

#: The protocols that `run` knows, by (system, data set).
PROTOCOLS = MappingProxyType({(p.system, p.dataset): p for p in _ALL})
