"""skorch's callbacks: which work here, what they record and learn; the history."""

import signal
import threading
from contextlib import contextmanager, suppress
from types import CodeType, FunctionType

import numpy as np
import torch
from skorch import callbacks as skorch_callbacks
from skorch.callbacks import (
    BatchScoring,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    ParamMapper,
    PassthroughScoring,
    TrainEndCheckpoint,
)

REFUSED = {
    BatchScoring: "a batch holds pixels and what the loss takes, and no X and y to "
    "score. Pass EpochScoring.",
    InputShapeSetter: "a network has its sizes from image_size and aus.",
    LoadInitState: "it would go on from weights that the fit does not know of. Pass "
    "checkpoint_dir, init_from or warm_start.",
}
# They change nothing of what is trained.
WATCHING = {
    *(
        "EpochScoring",
        "EpochTimer",
        "MlflowLogger",
        "NeptuneLogger",
        "PassthroughScoring",
    ),
    *("PrintLog", "ProgressBar", "SacredLogger", "TensorBoard", "TrainEndCheckpoint"),
    "WandbLogger",
}
# Those of them that others may monitor.
SCORING = {"EpochScoring", "EpochTimer", "PassthroughScoring"}


def without_reports(callbacks):
    """Return the callbacks without those that print, log or write files."""
    named = [(each[1] if isinstance(each, tuple) else each) for each in callbacks or ()]
    kinds = [each if isinstance(each, type) else type(each) for each in named]
    reports = (WATCHING | {"Checkpoint"}) - SCORING
    return [
        each
        for each, kind in zip(callbacks or (), kinds, strict=True)
        if kind.__name__ not in reports or not _is_of_skorch(kind)
    ]


def check_callbacks(net, held_out):
    """Raise if a callback of a net could not do here what it is for.

    Parameters
    ----------
    net : TrainingNet
        Initialised.
    held_out : bool
        Whether subjects are held out, so that an epoch has a ``valid_f1``.
    """
    names = {"epoch", "train_loss", "train_batch_count"}
    if held_out:
        names.add("valid_f1")
    # Parts of the loss have names that only a batch can tell.
    open_ended = hasattr(net.criterion_, "parts")
    for _, callback in net.callbacks_:
        reason = _reason_against(callback, net, held_out)
        if reason:
            raise ValueError(f"callbacks: {type(callback).__name__}: {reason}")
        name = monitored(callback)
        if name not in names and (not open_ended or str(name).startswith("valid_")):
            refuse_monitor(callback, names)
        names |= _recorded(callback)
        if not _is_of_skorch(type(callback)):
            # A callback of the user's may record anything.
            return


def _reason_against(callback, net, held_out):
    """Return why a callback cannot work in this fit, None if it can."""
    for kind, reason in REFUSED.items():
        if isinstance(callback, kind):
            return reason
    if isinstance(callback, PassthroughScoring) and not callback.on_train:
        return "held-out faces have no batches. Pass on_train=True."
    if isinstance(callback, EpochScoring) and not (callback.on_train or held_out):
        return (
            "it scores held-out faces, and none are held out. Pass "
            "early_stopping=True, or on_train=True."
        )
    if isinstance(callback, LRScheduler) and net.schedule:
        return (
            f"the learning rate has a schedule already, of {net.schedule}. Two would "
            "overwrite each other: set it to its constant value (lr_decay=1, "
            "schedule=None), or leave the callback out."
        )
    if held_out and getattr(callback, "load_best", False):
        return (
            "early_stopping=True keeps the weights of the best valid_f1, load_best "
            "would keep others. Pass one of them."
        )
    keeps = isinstance(callback, (Checkpoint, TrainEndCheckpoint))
    if keeps and callback.f_pickle:
        return "f_pickle cannot hold a net in training. Pickle the classifier."
    if isinstance(callback, ParamMapper):
        return _unmatched(callback, net)
    return None


def _unmatched(callback, net):
    parameters = list(net.get_all_learnable_params())
    if any(callback.filter_parameters(callback.patterns, parameters)):
        return None
    return (
        f"no weight of this network has a name like {callback.patterns}. Names are as "
        f"{parameters[0][0]!r} and {parameters[-1][0]!r}."
    )


def monitored(callback):
    """Return the name in an epoch's history that a callback reads, "epoch" if none."""
    if isinstance(callback, PassthroughScoring):
        return callback.name
    if isinstance(callback, LRScheduler):
        policy = callback.policy_
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
        reads = isinstance(policy, type) and issubclass(policy, plateau)
        if not reads or callback.step_every == "batch":
            return "epoch"
    elif not isinstance(callback, (Checkpoint, EarlyStopping)):
        return "epoch"
    return callback.monitor if isinstance(callback.monitor, str) else "epoch"


def refuse_monitor(callback, names):
    """Raise because a callback reads what is not in an epoch's history."""
    who, name = type(callback).__name__, monitored(callback)
    raise ValueError(
        f"callbacks: {who} monitors {name!r}, which is not recorded; recorded are "
        f"{', '.join(sorted(names))}. early_stopping=True records valid_f1; "
        "EpochScoring and PassthroughScoring, placed before it, record a score under "
        "its name and name_best."
    )


def _recorded(callback):
    """Return the names that a callback of skorch's adds to an epoch's history."""
    if isinstance(callback, (EpochScoring, PassthroughScoring)):
        name = getattr(callback, "name_", None) or callback.name
        return {name, f"{name}_best"}
    if isinstance(callback, skorch_callbacks.EpochTimer):
        return {"dur"}
    return {getattr(callback, "event_name", None)} - {None}


def callback_state(callback, *, schedule_only=False):
    """Return what a callback has learned: its attributes that end in an underscore.

    A checkpoint holds plain values and tensors; others are left out.
    """
    state = {}
    for name, value in vars(callback).items():
        if name.endswith("_") and not schedule_only:
            with suppress(TypeError):
                state[name] = plain(value)
    if isinstance(callback, LRScheduler) and callback.lr_scheduler_ is not None:
        state["lr_scheduler_"] = {}
        for name, value in vars(callback.lr_scheduler_).items():
            with suppress(TypeError):
                state["lr_scheduler_"][name] = plain(value)
    return state


def load_callback_state(callback, state):
    """Put a state of `callback_state` into a callback whose training has begun."""
    state = dict(state)
    # What is not in the state does not change with the steps.
    schedule = state.pop("lr_scheduler_", None)
    if schedule is not None:
        vars(callback.lr_scheduler_).update(schedule)
    vars(callback).update(state)


def plain(value):
    """Return a value as a file without code can hold it, or raise TypeError."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        return value
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    raise TypeError(f"{type(value).__name__} is not plain")


def describe_callbacks(callbacks):
    """Return the callbacks that may change what is trained, in words.

    They are known by class and parameters; a function by its code; another object by
    its type alone, because its `repr` may differ from run to run.
    """
    named = [each[1] if isinstance(each, tuple) else each for each in callbacks or ()]
    return repr([_describe_callback(each) for each in named if _may_change(each)])


def _may_change(callback):
    cls = callback if isinstance(callback, type) else type(callback)
    if cls is Checkpoint:
        return getattr(callback, "load_best", False)
    return cls.__name__ not in WATCHING or not _is_of_skorch(cls)


def _is_of_skorch(cls):
    return getattr(skorch_callbacks, cls.__name__, None) is cls


def _describe_callback(callback):
    if isinstance(callback, type):
        return _describe(callback)
    parameters = {k: v for k, v in vars(callback).items() if not k.endswith("_")}
    return _describe(type(callback)), _describe(parameters)


def _describe(value):
    if isinstance(value, (FunctionType, CodeType)):
        code = getattr(value, "__code__", value)
        inside = [cell.cell_contents for cell in getattr(value, "__closure__", 0) or ()]
        known = [*code.co_consts, *code.co_names, *inside]
        known += getattr(value, "__defaults__", None) or ()
        return code.co_code.hex(), [_describe(each) for each in known]
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, dict):
        return [(str(k), _describe(each)) for k, each in sorted(value.items())]
    if isinstance(value, (list, tuple)):
        return [_describe(each) for each in value]
    try:
        return repr(plain(value))
    except TypeError:
        return _describe(type(value))


@contextmanager
def noted_interrupts():
    """Yield a list that a user's interrupt (Ctrl-C) lengthens.

    skorch's callbacks raise KeyboardInterrupt to end a training; nothing else tells
    the two apart.
    """
    came, before = [], signal.getsignal(signal.SIGINT)
    # No other thread is ever interrupted.
    here = threading.current_thread() is threading.main_thread()
    if not here or not callable(before):
        yield came
        return

    def note(number, frame):
        try:
            before(number, frame)
        except KeyboardInterrupt:
            came.append(number)
            raise

    signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def plain_history(history):
    """Return skorch's history as a list of one flat dict per epoch, JSON-ready."""
    return [
        {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in epoch.items()
            if name != "batches"
        }
        for epoch in history
    ]


def load_history(history, rows):
    """Append the epochs of `plain_history` to a skorch history."""
    for row in rows:
        history.new_epoch()
        for name, value in row.items():
            history.record(name, value)
