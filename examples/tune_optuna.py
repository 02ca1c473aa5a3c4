"""Which learning rate, how many epochs? Optuna asks folds of subjects
===================================================================

A function that returns a score is all that Optuna needs. Here the score is the area
under the ROC curve on people that a fit did not see. Optuna is not among what skfau
installs: pip install optuna. ::

    python examples/tune_optuna.py
"""

import sys

from sklearn.model_selection import GroupKFold, cross_val_score

from skfau import ResNetClassifier
from skfau.datasets import load_rendered
from skfau.metrics import au_scorer

try:
    import optuna
except ImportError:
    sys.exit("this example needs optuna: pip install optuna")

made = load_rendered(aus=(4, 12))
X, y = made.data[:108:2], made.target[:108:2]
small = {"aus": made.aus, "backbone": "tiny", "image_size": 48, "random_state": 0}
by_subject = {"groups": X.subject, "cv": GroupKFold(2), "scoring": au_scorer("roc_auc")}


# %%
# What Optuna suggests, and what it is worth.
def objective(trial):
    lr = trial.suggest_float("lr", 1e-4, 1e-2, log=True)
    epochs = trial.suggest_int("max_epochs", 1, 3)
    clf = ResNetClassifier(lr=lr, max_epochs=epochs, **small)
    return cross_val_score(clf, X, y, **by_subject).mean()


# %%
# With folds to choose among, the best score is a little too good: score the winner on
# people of neither fold.
optuna.logging.set_verbosity(optuna.logging.WARNING)
sampler = optuna.samplers.TPESampler(seed=0)
study = optuna.create_study(direction="maximize", sampler=sampler)
study.optimize(objective, n_trials=5)
print(f"area under the curve {study.best_value:.3f} with {study.best_params}")
