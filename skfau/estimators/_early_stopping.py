"""Stop when held-out subjects no longer gain, and go back to the best epoch."""

import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from skfau.metrics import au_f1_score


class EarlyStopping:
    """Score held-out subjects after each epoch, keep the best weights.

    Parameters
    ----------
    predict_proba : callable
        ``predict_proba(faces)`` of the classifier in training.
    faces : Faces
        Rows of the held-out subjects.
    labels : ndarray of shape (n, n_aus), dtype float32
        Their labels; at least one AU is known to occur.
    patience : int
        Epochs without a better F1 before training ends.
    """

    def __init__(self, predict_proba, faces, labels, patience):
        self.predict_proba = predict_proba
        self.faces = faces
        self.labels = labels
        self.patience = patience
        self.best_f1 = -np.inf
        self.stale_epochs = 0
        self.best_module = None

    def __call__(self, net):
        """Score the epoch just done; return True when it is time to stop."""
        predicted = self.predict_proba(self.faces) >= 0.5
        with warnings.catch_warnings():
            # An AU absent from the held-out rows is the same in every epoch.
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            f1 = float(au_f1_score(self.labels, predicted.astype(np.float32)))
        net.history.record("valid_f1", f1)
        if f1 > self.best_f1:
            self.best_f1, self.stale_epochs = f1, 0
            self.best_module = {
                name: tensor.detach().cpu().clone()
                for name, tensor in net.module_.state_dict().items()
            }
        else:
            self.stale_epochs += 1
        return self.stale_epochs >= self.patience

    def restore_best(self, net):
        """Put the best epoch's weights into the network."""
        net.module_.load_state_dict(self.best_module)

    def state(self):
        """Return what a resumed fit needs."""
        return {
            "best_f1": self.best_f1,
            "stale_epochs": self.stale_epochs,
            "best_module": self.best_module,
        }

    def load_state(self, state):
        """Go back to a state of `state`."""
        self.best_f1 = state["best_f1"]
        self.stale_epochs = state["stale_epochs"]
        self.best_module = state["best_module"]
