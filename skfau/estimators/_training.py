"""How a prepared network is trained, by skorch."""

import copy

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import LRScheduler
from skorch.dataset import Dataset, get_len

from skfau._progress import Progress
from skfau._single_au import as_columns, au_columns
from skfau.estimators._batches import keep_batch
from skfau.estimators._callbacks import (
    callback_state,
    check_callbacks,
    load_callback_state,
    load_history,
    monitored,
    noted_interrupts,
    plain_history,
    refuse_monitor,
)
from skfau.estimators._shares import Share, current_team
from skfau.estimators._torch_state import PrivateStream, derive_seed

# Words that keep the streams of one seed apart.
INIT, EPOCH, ORDER, AUGMENT = range(4)


class TrainingNet(NeuralNet):
    """`skorch.NeuralNet` with a private random stream, loss parts and plain history.

    Every epoch starts from seeds derived from the fit's seed and the epoch's
    number. Nothing random has to be stored, and a resumed run is the run that was
    never interrupted.
    """

    def __init__(self, *args, seed=0, learning_rate_factor=None, lr_factors, **kwargs):
        super().__init__(*args, **kwargs)
        self.seed = seed
        self.learning_rate_factor = learning_rate_factor
        self.lr_factors = lr_factors

    # The processes that train together; None where one trains alone.
    team = None
    # What callbacks learned before, until the next training begins.
    resumed_ = None
    # File of `save`, which holds no optimiser, until the next training begins.
    loaded_from = None

    @property
    def schedule(self):
        """What sets the learning rate beside `lr`, in words; "" if nothing does."""
        parts = [name for name, f in self.lr_factors.items() if callable(f)]
        decay = ["lr_decay"] if self.learning_rate_factor is not None else []
        return ", ".join(decay + parts)

    def planned_rates(self, n_epochs):
        """Return the factors of `lr` in the first epochs, of ten steps each."""
        factors = self.lr_factors.values()
        return [
            [1.0 if self.learning_rate_factor is None else self.learning_rate_factor(e)]
            + [f(10 * e + 1, 10) if callable(f) else f for f in factors]
            for e in range(n_epochs)
        ]

    def get_params_for_optimizer(self, prefix, named_parameters):
        """Leave frozen parts of the loss out: some come only after the first step."""
        loss = {id(p) for p in self.criterion_.parameters() if not p.requires_grad}
        trained = [each for each in named_parameters if id(each[1]) not in loss]
        return super().get_params_for_optimizer(prefix, trained)

    def use_callbacks(self, callbacks):
        """Take other callbacks, if they are not those that the net was made with."""
        if callbacks is not self.given_callbacks:
            # Until they are checked these are nobody's.
            self.given_callbacks = object()
            self.callbacks = list(copy.deepcopy(callbacks) or [])
            self.initialize_callbacks()
            check_callbacks(self, held_out=False)
            self.given_callbacks = callbacks

    def get_default_callbacks(self):
        """Return none: `record_epoch_means` keeps the history."""
        return []

    @property
    def stream(self):
        """Private stream of this network, made on first use."""
        if "stream_" not in self.__dict__:
            self.stream_ = PrivateStream(self.device)
        return self.stream_

    def begin_epoch(self, batches):
        """Seed dropout, row order and augmentation for the epoch about to run."""
        epoch = len(self.history)
        self.stream.seed(self.seed, EPOCH, epoch)
        self.order.manual_seed(derive_seed(self.seed, ORDER, epoch))
        batches.rng = np.random.default_rng([self.seed, AUGMENT, epoch])
        batches.team = self.team
        if self.learning_rate_factor is not None:
            # Groups of `lr_factors` come first, that of all other weights last.
            shares = [*map(constant, self.lr_factors.values()), 1.0]
            for number, share in enumerate(shares):
                self._set_rate(number, share * self.learning_rate_factor(epoch))
        self.n_steps_ = -(-len(batches) // self.batch_size)
        self.step_ = epoch * self.n_steps_

    def _set_rate(self, number, factor):
        """Set the learning rate of a parameter group, which no one else may set."""
        group = self.optimizer_.param_groups[number]
        if group["lr"] != self.rates_.get(number, group["lr"]):
            raise ValueError(
                f"a callback set the learning rate to {group['lr']}, and the schedule "
                f"of {self.schedule} sets it, too. Set that to its constant value "
                "(lr_decay=1, schedule=None), or leave the callback out."
            )
        group["lr"] = self.rates_[number] = self.lr * factor

    @property
    def order(self):
        """Generator that shuffles the rows."""
        return self.iterator_train__generator

    def train_step(self, batch, **fit_params):
        """Take one optimiser step on the private stream, then let centres follow."""
        self.step_ += 1
        for number, factor in enumerate(self.lr_factors.values()):
            if callable(factor):
                self._set_rate(number, factor(self.step_, self.n_steps_))
        with self.stream():
            step = super().train_step(batch, **fit_params)
        if hasattr(self.criterion_, "after_step"):
            self.criterion_.after_step()
        parts = getattr(self.criterion_, "parts", {})
        if parts:
            # One transfer for all of them: each would wait for the device.
            values = batch_weight(batch[1]) * torch.stack(list(parts.values()))
            values = values.tolist()
            for name, value in zip(parts, values, strict=True):
                self.history.record_batch(name, value)
        return step

    def train_step_single(self, batch, **fit_params):
        """Compute loss and gradients; of several processes each on its own faces."""
        if self.team is None:
            return super().train_step_single(batch, **fit_params)
        self.share_ = Share(self.team, get_len(batch[1]))
        step = super().train_step_single(batch, **fit_params)
        # The loss's own weights have their whole gradient already.
        self.share_.add_gradients(self.module_.parameters())
        return step

    def infer(self, x, **fit_params):
        """Return the network's outputs for the whole batch."""
        if self.team is None:
            return super().infer(x, **fit_params)
        with self.share_:
            outputs = super().infer(x, **fit_params)
        return self.share_.gather(outputs)

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Count the faces of the whole batch, of which a process may have a share."""
        super().on_batch_end(net, batch=batch, training=training, **kwargs)
        self.history.record_batch("train_batch_size", get_len(batch[1]))

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        """Return the loss of a batch, which counts as its faces do."""
        loss = super().get_loss(y_pred, y_true, *args, **kwargs)
        return batch_weight(y_true) * loss

    def predict_proba(self, X):
        """Return the classifier's probabilities: callbacks score by them.

        They have a column per AU, as the labels in training have.
        """
        return au_columns(self.classifier, self.classifier.predict_proba(X))

    def predict(self, X):
        """Return the classifier's predictions, a column per AU."""
        return as_columns(self.classifier.predict(X))

    def score(self, X, y):
        """Return the classifier's score."""
        return self.classifier.score(X, y)

    def run_epochs(
        self,
        batches,
        n_epochs,
        *,
        data=(None, None),
        held_out=None,
        keep=None,
        title="Training",
        verbose=0,
    ):
        """Train `n_epochs`.

        Unlike skorch's ``fit`` it lets a user's ``KeyboardInterrupt`` through: a caller
        that searches over parameters must not go on with a half-trained network. One
        that a callback raises ends the training with its epoch.

        Parameters
        ----------
        batches : Dataset
            Serves whole batches.
        n_epochs : int
            Passes over them.
        data : tuple of (Faces, ndarray)
            Rows of the batches and their labels, for callbacks.
        held_out : EarlyStopping or None
            Called after each epoch; True ends the training.
        keep : callable or None
            ``keep(stopped)`` is called last in each epoch.
        title : str, default="Training"
            What the progress says is done.
        verbose : int, default=0
            Whether to show it on standard error.
        """
        n_batches, n_done = -(-len(batches) // self.batch_size), len(self.history)
        total, done = (n_done + n_epochs) * n_batches, n_done * n_batches
        shown = title, total, "batches", __name__, verbose
        with (
            Progress(*shown, done=done) as progress,
            noted_interrupts() as self.interrupts_,
        ):
            self._run_epochs(batches, n_epochs, data, held_out, keep, progress)

    def _run_epochs(self, batches, n_epochs, data, held_out, keep, progress):
        def counted_step(batch, **fit_params):
            step = self.train_step(batch, **fit_params)
            progress.update()
            return step

        self.stopped_, self.rates_ = False, {}
        if self.team is not None:
            self.team.begin_alike(self.module_, self.criterion_)
        self.begin_training(*data)
        iterator = self.get_iterator(batches, training=True)
        test = held_out and Dataset(held_out.faces, held_out.labels)
        rows = None if data[0] is None else Dataset(*data)
        on_epoch = {"dataset_train": rows, "dataset_valid": test}
        for _ in range(n_epochs):
            self.begin_epoch(batches)
            with self.stream():
                self.notify("on_epoch_begin", **on_epoch)
            self.run_single_epoch(
                iterator, training=True, prefix="train", step_fn=counted_step
            )
            self.record_epoch_means()
            self.refuse_divergence()
            stopped = held_out is not None and held_out(self)
            progress.note = figures_of(self.history)
            self.notify("on_epoch_end", **on_epoch)
            stopped = stopped or self.stopped_
            if self.team is not None:
                # Rounding may differ between devices, and with it what a callback says.
                stopped = self.team.decide(stopped)
            # Epochs keep their means; rows per batch would grow with the frames. File
            # names of skorch's checkpoints may ask for the last one.
            del self.history[-1]["batches"][:-1]
            if keep is not None and (self.team is None or not self.team.rank):
                keep(stopped)
            if stopped:
                break
        if held_out is not None:
            held_out.restore_best(self)
        self.notify("on_train_end", X=data[0], y=data[1])

    def begin_training(self, X, y):
        """Tell the callbacks; schedulers go on from where they were."""
        states = self.resumed_ or self.callback_states(schedule_only=True)
        self.resumed_ = None
        groups = [
            {k: v for k, v in group.items() if k != "params"}
            for group in self.optimizer_.param_groups
        ]
        for name, callback in self.callbacks_:
            known = "lr_scheduler_" in states.get(name, {})
            if isinstance(callback, LRScheduler) and self.history and not known:
                raise ValueError(
                    f"LRScheduler was not there in the first {len(self.history)} "
                    "epochs, so that it cannot say which rate is next. Fit anew with "
                    "it; warm_start=True keeps the weights."
                )
        self.notify("on_train_begin", X=X, y=y)
        for name, callback in self.callbacks_:
            if states.get(name):
                load_callback_state(callback, states[name])
        if self.history:
            # A scheduler that is made again would take a step of its own.
            for group, values in zip(self.optimizer_.param_groups, groups, strict=True):
                group.update(values)

    def callback_states(self, *, schedule_only=False):
        """Return what the callbacks have learned, by name."""
        if self.resumed_:
            return self.resumed_
        return {
            name: state
            for name, callback in self.callbacks_
            if (state := callback_state(callback, schedule_only=schedule_only))
        }

    def notify(self, method_name, **arguments):
        """Call every callback, also after one has ended the training."""
        getattr(self, method_name)(self, **arguments)
        for _, callback in self.callbacks_:
            if method_name == "on_epoch_end":
                row = self.history[-1]
                if monitored(callback) not in row:
                    refuse_monitor(callback, row.keys() - {"batches"})
            self.interrupts_.clear()
            try:
                getattr(callback, method_name)(self, **arguments)
            except KeyboardInterrupt:
                if self.interrupts_:
                    raise
                self.stopped_ = True

    def record_epoch_means(self):
        """Average what all batches have recorded, weighted by batch size."""
        rows = self.history[-1, "batches"]
        sizes = [row["train_batch_size"] for row in rows]
        for name in rows[0]:
            values = [row.get(name) for row in rows]
            # Callbacks may record what has no mean, or not in every batch.
            numbers = all(isinstance(value, (int, float)) for value in values)
            if numbers and name != "train_batch_size":
                self.history.record(name, float(np.average(values, weights=sizes)))

    def refuse_divergence(self):
        """Raise if the epoch's loss is not finite: all that follows would be NaN.

        Probabilities that are NaN stand for faces that were not found, and scores leave
        them out.
        """
        loss = self.history[-1]["train_loss"]
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"training diverged: the mean loss of epoch {len(self.history)} is "
                f"{loss}. Lower lr (it is {self.lr})."
            )

    def training_state(self, *, copied=False):
        """Return everything a resumed run needs, as tensors and plain values.

        Of the callbacks, a copy keeps what the next call to train would go on from:
        where the learning rate is.
        """
        return {
            "module": self.module_.state_dict(),
            "criterion": self.criterion_.state_dict(),
            "optimizer": self.optimizer_.state_dict(),
            "history": plain_history(self.history),
            "callbacks": self.callback_states(schedule_only=copied),
        }

    def load_training_state(self, state):
        """Go back to a state of `training_state`."""
        self.module_.load_state_dict(state["module"])
        self.criterion_.load_state_dict(state["criterion"])
        if state["optimizer"] is not None:
            self.optimizer_.load_state_dict(copy.deepcopy(state["optimizer"]))
        load_history(self.history, state["history"])
        self.resumed_ = state["callbacks"]


def constant(factor):
    """Return a factor of `lr` before a function of the step takes its place."""
    return 1.0 if callable(factor) else factor


def batch_weight(targets):
    """Return the mean weight of a batch's faces, 1 without weights.

    A loss is a mean over its batch, in which only ratios of weights count. Without
    this factor a batch of faces of little weight would move the network as far as any.
    """
    return float(targets["weight"].mean()) if "weight" in targets else 1.0


def figures_of(history):
    """Return the number of the last epoch and its figures, as text."""
    last = history[-1]
    names = [name for name in ("train_loss", "valid_f1") if name in last]
    figures = [f"{name} {last[name]:.3f}" for name in names]
    return ", ".join([f"epoch {len(history)}", *figures])


def make_training_net(
    module,
    criterion,
    *,
    optimizer,
    lr,
    weight_decay,
    batch_size,
    device,
    seed,
    callbacks,
    learning_rate_factor,
    lr_factors,
    verbose=0,
):
    """Compose an initialised `TrainingNet`; nothing global is seeded."""
    rates = {name: lr * constant(factor) for name, factor in lr_factors.items()}
    groups = [(f"network.{name}.*", {"lr": rate}) for name, rate in rates.items()]
    net = TrainingNet(
        module,
        criterion=criterion,
        optimizer=optimizer,
        optimizer__weight_decay=weight_decay,
        optimizer__param_groups=groups,
        lr=lr,
        batch_size=batch_size,
        train_split=None,
        iterator_train__shuffle=True,
        iterator_train__generator=torch.Generator(),
        iterator_train__collate_fn=keep_batch,
        callbacks=list(copy.deepcopy(callbacks) or []),
        device=device,
        verbose=verbose,
        # Callbacks that score then ask `predict` about faces, not about batches.
        use_caching=False,
        seed=seed,
        learning_rate_factor=learning_rate_factor,
        lr_factors=lr_factors,
    )
    net.given_callbacks = callbacks
    net.team = current_team()
    return net.initialize()
