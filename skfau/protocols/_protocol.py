"""What each paper reports that it did on each data set."""

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
_SEEN = "The network that is fine-tuned has seen all 41 subjects of BP4D."
_STOP = (
    "Training stops early by subjects held out of the training folds; the paper does "
    "not say by what."
)
_OWN_TEXT = "The descriptions are this library's own."
_LANDMARKS = (
    "Without fan_weights= the face alignment network learns the landmarks of the "
    "training faces; the paper's is the published one.",
    "The weight of the divergence was picked from 0.1, 0.2 and 0.3; here it is 0.3.",
    "The authors' code averages a face and its mirror image; here the face is alone.",
)
_JACOB = "Jacob and Stenger, CVPR 2021, Table"
_SHAO = "Shao et al., arXiv:1808.03457v1, Table"
_YANG = "Yang et al., CVPR 2021, Table"
_HRISTOV = "Yang, Hristov et al., Proceedings of the IEEE 2023, Table"
_PLAIN = {"output_size": 256}

# A protocol joins one row of each of these three tables.
_SYSTEMS = {
    "fau_transformer": {
        "title": "FAU-Transformer",
        "estimator": "FAUTransformerClassifier",
        "aligner": {"template": "box", "output_size": 224},
    },
    "wsarl": {
        "title": "WSARL",
        "estimator": "WSARLClassifier",
        "aligner": {"template": "arl", "output_size": 200, "border_value": 128},
    },
    "sevnet": {"title": "SEV-Net", "estimator": "SEVNetClassifier", "aligner": _PLAIN},
    "aunet": {
        "title": "AUNet",
        "estimator": "AUNetClassifier",
        "aligner": {"template": "aunet", "output_size": 256},
    },
    "mlgcn": {"title": "ML-GCN", "estimator": "MLGCNClassifier", "aligner": _PLAIN},
    "mscam": {"title": "MS-CAM", "estimator": "MSCAMClassifier", "aligner": _PLAIN},
    "resnet": {"title": "ResNet18", "estimator": "ResNetClassifier", "aligner": _PLAIN},
}
_DATASETS = {
    "bp4d": {"loader": {}, "folds": "bp4d"},
    "disfa": {"loader": {"threshold": 2}, "folds": "disfa"},
    "bp4d_plus": {"loader": {}, "folds": 3},
}
_ON_BP4D_PLUS = {
    "source": f"{_YANG} 3",
    "parameters": {"early_stopping": True},
    "silent": (
        "The three folds of subjects are not published; here they balance AUs, so they "
        "are others.",
        _CUT,
        _STOP,
    ),
}
_EXPERIMENTS = {
    ("fau_transformer", "bp4d"): {
        "source": f"{_JACOB} 1",
        "parameters": {"weights": "imagenet", "balance": "printed"},
        "silent": (
            _CUT,
            _EPOCHS,
            "Batch size, embedding size and the ellipses of the ROIs are not "
            "published; they are this library's defaults.",
        ),
    },
    ("fau_transformer", "disfa"): {
        "source": f"{_JACOB} 2",
        "parameters": {"weights": "imagenet", "balance": "printed", "lr": 1e-5},
        "pretrained_on": "bp4d",
        "silent": (
            _CUT,
            _EPOCHS,
            "The text has intensities greater than 2; its references, and this run, "
            "2 and more.",
            "The network that is fine-tuned has seen all 41 subjects of BP4D; the "
            "paper does not say which.",
        ),
    },
    ("wsarl", "bp4d"): {
        "source": f"{_SHAO} 1",
        "silent": (_CUT, _EPOCHS, "The CRF's widths and weights are not published."),
    },
    ("wsarl", "disfa"): {
        "source": f"{_SHAO} 2",
        "pretrained_on": "bp4d",
        "silent": (_CUT, _EPOCHS, _SEEN),
    },
    ("sevnet", "bp4d"): {
        "source": f"{_YANG} 1",
        "parameters": {"early_stopping": True},
        "silent": (_CUT, _STOP, _OWN_TEXT),
    },
    ("sevnet", "disfa"): {
        "source": f"{_YANG} 2",
        "parameters": {"early_stopping": True},
        "silent": (_CUT, _STOP, _OWN_TEXT),
    },
    ("aunet", "bp4d"): {"source": f"{_HRISTOV} XIII", "silent": (_CUT, *_LANDMARKS)},
    ("aunet", "disfa"): {
        "source": f"{_HRISTOV} XIV",
        "pretrained_on": "bp4d",
        "silent": (_CUT, *_LANDMARKS, _SEEN),
    },
    ("sevnet", "bp4d_plus"): _ON_BP4D_PLUS,
    ("mlgcn", "bp4d_plus"): _ON_BP4D_PLUS,
    ("mscam", "bp4d_plus"): _ON_BP4D_PLUS,
    ("resnet", "bp4d_plus"): _ON_BP4D_PLUS,
}


def _protocol(system, dataset, source, silent, parameters=None, pretrained_on=None):
    return Protocol(
        system=system,
        dataset=dataset,
        source=source,
        parameters=parameters or {},
        pretrained_on=pretrained_on,
        silent=silent,
        **_SYSTEMS[system],
        **_DATASETS[dataset],
    )


#: The protocols that `run` knows, by (system, data set).
PROTOCOLS = MappingProxyType(
    {key: _protocol(*key, **row) for key, row in _EXPERIMENTS.items()}
)
