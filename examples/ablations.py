"""Which parts of the FAU transformer matter? The paper's tables as settings
=========================================================================

Every row of Tables 4 to 7 of Jacob and Stenger (2021) is a setting of one
classifier; here on made faces with the small backbone, by subject. The figures are
not those of BP4D: what carries over is how to run them. ::

    python examples/ablations.py [--table 4] [--epochs 8] [--small]
"""

import argparse

from sklearn.model_selection import cross_val_score

from skfau import FAUTransformerClassifier
from skfau.datasets import make_faces
from skfau.metrics import f1_scorer
from skfau.model_selection import SubjectKFold

PLAIN = {
    "multi_task": False,
    "attention": False,
    "center_loss": None,
    "encoder_layers": 0,
}
MT = PLAIN | {"multi_task": True}
AT = {"attention": True, "attention_supervision": False}
SUP = {"attention": True, "attention_supervision": True}
CC = {"center_loss": "contrastive"}
E = {"encoder_layers": 3}
WTL, WCE, BOTH = ("tversky",), ("wce",), ("wce", "tversky")
DICE = ("wce", "dice")
TABLES = {
    4: {
        "baseline CNN (PT with weights='imagenet')": PLAIN,
        "MT": MT,
        "MT-AT": MT | AT,
        "MT-ATsup": MT | SUP,
        "MT-CC": MT | CC,
        "MT-AT-CC": MT | AT | CC,
        "MT-ATsup-CC": MT | SUP | CC,
        "MT-E": MT | E,
        "MT-CC-E": MT | CC | E,
        "MT-AT-E": MT | AT | E,
        "MT-ATsup-E": MT | SUP | E,
        "MT-AT-CC-E": MT | AT | CC | E,
        "MT-ATsup-CC-E": MT | SUP | CC | E,
    },
    5: {
        f"attention {a}, classifier {c}": {
            "attention_losses": a,
            "classifier_losses": c,
        }
        for a, c in [
            (WTL, WTL),
            (WCE, WCE),
            (WTL, BOTH),
            (WCE, BOTH),
            (BOTH, WTL),
            (BOTH, WCE),
            (BOTH, BOTH),
        ]
    },
    6: {
        "SHSA": {"n_heads": 1, "feed_forward": False},
        "MHSA": {"feed_forward": False},
        "SHSA-FFN": {"n_heads": 1},
        "Trig. P.E.": {"positional_encoding": "trigonometric"},
        **{f"Encoder-{n}": {"encoder_layers": n} for n in (1, 2, 3, 4, 5)},
    },
    7: {
        "Center loss": {"center_loss": "center"},
        "Dice loss": {"attention_losses": DICE, "classifier_losses": DICE},
        "JAA weights": {"class_weight": "inverse_rate"},
        "parts on one scale": {"balance": "scaled"},
        "maps by L1": {"map_loss": "l1"},
        "maps by L2": {"map_loss": "l2"},
        "Ours": {},
    },
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--table", type=int, choices=TABLES, default=4)
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--small", action="store_true")
options = parser.parse_args()
made = make_faces(
    n_subjects=18 if options.small else 60,
    n_frames=8,
    image_size=64,
    random_state=0,
)
for name, setting in TABLES[options.table].items():
    clf = FAUTransformerClassifier(
        backbone="tiny",
        image_size=64,
        embedding_dim=32,
        lr=1e-3,
        max_epochs=1 if options.small else options.epochs,
        random_state=0,
        **setting,
    )
    scores = cross_val_score(
        clf,
        made.data,
        made.target,
        cv=SubjectKFold(2 if options.small else 3),
        scoring=f1_scorer,
        error_score="raise",
    )
    print(
        f"{100 * scores.mean():5.1f} +- {100 * scores.std():4.1f}  {name}", flush=True
    )
