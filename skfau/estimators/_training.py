"""The one file that knows skorch: how a prepared network is trained."""

import copy

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from tqdm import tqdm

from skfau.estimators._batches import keep_batch
from skfau.estimators._torch_state import PrivateStream, derive_seed

# Words that keep the streams of one seed apart.
INIT, EPOCH, ORDER, AUGMENT = range(4)


class TrainingNet(NeuralNet):
    """`skorch.NeuralNet` with a private random stream, loss parts and plain history.

    Every epoch starts from seeds derived from the fit's seed and the epoch's
    number. Nothing random has to be stored, and a resumed run is the run that was
    never interrupted.
    """

    def __init__(
        self, *args, seed=0, learning_rate_factor=None, lr_factors=None, **kwargs
    ):
        super().__init__(*args, **kwargs)
        self.seed = seed
        self.learning_rate_factor = learning_rate_factor
        self.lr_factors = lr_factors

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
        if self.learning_rate_factor is not None:
            for group in self.optimizer_.param_groups:
                group["lr"] = self.lr * self.learning_rate_factor(epoch)
        self.n_steps_ = -(-len(batches) // self.batch_size)
        self.step_ = epoch * self.n_steps_

    @property
    def order(self):
        """Generator that shuffles the rows."""
        return self.iterator_train__generator

    def train_step(self, batch, **fit_params):
        """Take one optimiser step on the private stream, then let centres follow."""
        self.step_ += 1
        # Groups of `lr_factors` come first, that of all other weights last.
        groups = zip(self.optimizer_.param_groups, self.lr_factors or {}, strict=False)
        for group, name in groups:
            if self.lr_factors[name] is not None:
                factor = self.lr_factors[name](self.step_, self.n_steps_)
                group["lr"] = self.lr * factor
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

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        """Return the loss of a batch, which counts as its faces do."""
        loss = super().get_loss(y_pred, y_true, *args, **kwargs)
        return batch_weight(y_true) * loss

    def run_epochs(self, batches, n_epochs, after_epoch=None, bar=None):
        """Train `n_epochs`; `after_epoch(net)` returning True ends the run.

        Unlike skorch's ``fit`` it lets ``KeyboardInterrupt`` through: a caller that
        searches over parameters must not go on with a half-trained network.
        """
        usual = self.callbacks_
        if bar is not None:
            self.callbacks_ = [*usual, ("progress", bar.initialize())]
        try:
            self._run_epochs(batches, n_epochs, after_epoch)
        finally:
            self.callbacks_ = usual
            if bar is not None:
                bar.bar_.close()

    def _run_epochs(self, batches, n_epochs, after_epoch):
        self.notify("on_train_begin", X=batches, y=None)
        iterator = self.get_iterator(batches, training=True)
        for _ in range(n_epochs):
            self.begin_epoch(batches)
            on_epoch = {"dataset_train": batches, "dataset_valid": None}
            self.notify("on_epoch_begin", **on_epoch)
            self.run_single_epoch(
                iterator, training=True, prefix="train", step_fn=self.train_step
            )
            self.record_epoch_means()
            self.refuse_divergence()
            finished = after_epoch is not None and after_epoch(self)
            self.notify("on_epoch_end", **on_epoch)
            # Epochs keep their means; rows per batch would grow with the frames.
            self.history[-1]["batches"].clear()
            if finished:
                break
        self.notify("on_train_end", X=batches, y=None)

    def record_epoch_means(self):
        """Average the loss and its parts over the epoch, weighted by batch size."""
        rows = self.history[-1, "batches"]
        sizes = [row["train_batch_size"] for row in rows]
        for name in rows[0]:
            if name != "train_batch_size":
                values = [row[name] for row in rows]
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

    def training_state(self):
        """Return everything a resumed run needs, as tensors and plain values."""
        return {
            "module": self.module_.state_dict(),
            "criterion": self.criterion_.state_dict(),
            "optimizer": self.optimizer_.state_dict(),
            "history": plain_history(self.history),
        }

    def load_training_state(self, state):
        """Go back to a state of `training_state`."""
        self.module_.load_state_dict(state["module"])
        self.criterion_.load_state_dict(state["criterion"])
        self.optimizer_.load_state_dict(copy.deepcopy(state["optimizer"]))
        load_history(self.history, state["history"])


def batch_weight(targets):
    """Return the mean weight of a batch's faces, 1 without weights.

    A loss is a mean over its batch, in which only ratios of weights count. Without
    this factor a batch of faces of little weight would move the network as far as any.
    """
    return float(targets["weight"].mean()) if "weight" in targets else 1.0


class ProgressBar(Callback):
    """A bar over the batches of all epochs, with the last epoch's loss beside it."""

    def __init__(self, n_epochs, n_batches, description):
        self.n_epochs = n_epochs
        self.n_batches = n_batches
        self.description = description

    def on_train_begin(self, net, **kwargs):
        """Open the bar where a resumed run left it."""
        self.bar_ = tqdm(
            total=self.n_epochs * self.n_batches,
            initial=len(net.history) * self.n_batches,
            desc=self.description,
            unit="batch",
        )

    def on_batch_end(self, net, training=False, **kwargs):
        """Advance by one batch."""
        self.bar_.update(1)

    def on_epoch_end(self, net, **kwargs):
        """Show the epoch's figures."""
        last = plain_history(net.history)[-1]
        shown = {k: f"{last[k]:.3f}" for k in ("train_loss", "valid_f1") if k in last}
        self.bar_.set_postfix(shown)


def plain_history(history):
    """Return skorch's history as a list of one flat dict per epoch, JSON-ready."""
    return [
        {name: value for name, value in epoch.items() if name != "batches"}
        for epoch in history
    ]


def load_history(history, rows):
    """Append the epochs of `plain_history` to a skorch history."""
    for row in rows:
        history.new_epoch()
        for name, value in row.items():
            history.record(name, value)


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
    lr_factors=None,
):
    """Compose an initialised `TrainingNet`; nothing global is seeded."""
    groups = [(f"network.{name}.*", {}) for name in lr_factors or {}]
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
        callbacks=callbacks,
        device=device,
        verbose=0,
        seed=seed,
        learning_rate_factor=learning_rate_factor,
        lr_factors=lr_factors,
    )
    return net.initialize()
