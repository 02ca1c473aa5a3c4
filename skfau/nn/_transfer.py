"""Copy a network's weights into one for other AUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["declare_au_axes", "transfer_state"]


def declare_au_axes(network, layers):
    """Return the AU axes of the state-dict entries in some layers.

    Parameters
    ----------
    network : nn.Module
        Its state dict names the entries.
    layers : dict of str to tuple of int
        Name of a layer, or of one entry, and the axes along which AUs lie. Entries with
        fewer axes (biases, batch statistics) take as many as they have; scalars have
        none. Names that the network lacks are skipped.

    Returns
    -------
    axes : dict of str to tuple of int
        Per entry; what a network's ``au_axes()`` returns.
    """
    return {
        name: axes[: entry.ndim]
        for name, entry in network.state_dict().items()
        for layer, axes in layers.items()
        if entry.ndim and (name == layer or name.startswith(f"{layer}."))
    }


def transfer_state(
    source: Mapping[str, Tensor],
    source_aus: Sequence[int],
    target: Mapping[str, Tensor],
    target_aus: Sequence[int],
    axes: Mapping[str, tuple[int, ...]],
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a state dict of the target that starts from another network's weights.

    Weights of single AUs are copied for the AUs that both networks have, each to its
    place in the target; in an entry with two AU axes, for pairs of such AUs. Weights
    that all AUs share (backbone, encoder) are copied whole if the shapes agree. All
    others stay as they are in the target.

    Parameters
    ----------
    source : dict of str to Tensor
        State dict to take from.
    source_aus : sequence of int
        AU numbers of the source, in its order.
    target : dict of str to Tensor
        State dict of a fresh network; not changed.
    target_aus : sequence of int
        AU numbers of the target, in its order.
    axes : dict of str to tuple of int
        The target network's ``au_axes()``.

    Returns
    -------
    state : dict of str to Tensor
        A state dict for the target, with its names, shapes, dtypes and devices.
    report : dict
        ``"aus"``, the AU numbers copied; ``"copied"``, ``"partly"`` and ``"fresh"``,
        the names of the entries taken whole, for some AUs only, and not at all.

    Raises
    ------
    ValueError
        If an AU is listed twice.

    Examples
    --------
    >>> import torch
    >>> from skfau.nn import transfer_state
    >>> state, report = transfer_state(
    ...     {"weight": torch.tensor([1.0, 2.0, 4.0])}, (1, 2, 4),
    ...     {"weight": torch.zeros(2)}, (4, 9), {"weight": (0,)})
    >>> state["weight"]
    tensor([4., 0.])
    >>> report["aus"], report["partly"]
    ((4,), ('weight',))
    """
    for aus in (source_aus, target_aus):
        if len(set(aus)) < len(aus):
            raise ValueError(f"AUs must be listed once each. Got {tuple(aus)}.")
    copied = {"copied": [], "partly": [], "fresh": []}
    state = {name: entry.clone() for name, entry in target.items()}
    for name, entry in state.items():
        taken, along = source.get(name), axes.get(name, ())
        how = _copy(taken, source_aus, entry, target_aus, along)
        copied[how].append(name)
    shared = tuple(au for au in target_aus if au in set(source_aus))
    return state, {"aus": shared} | {how: tuple(n) for how, n in copied.items()}


def _copy(taken, source_aus, entry, target_aus, au_axes):
    """Copy what two entries share into `entry`; return "copied", "partly", "fresh"."""
    shared = [au for au in target_aus if au in set(source_aus)]
    n_source, n_target = len(source_aus), len(target_aus)
    if taken is None or not _fit(taken, entry, au_axes, n_source, n_target):
        return "fresh"
    if not au_axes:
        entry.copy_(taken)
        return "copied"
    if not shared:
        return "fresh"
    to = [_blocks(target_aus, shared, entry.shape[axis]) for axis in au_axes]
    come = [_blocks(source_aus, shared, taken.shape[axis]) for axis in au_axes]
    front = tuple(range(len(au_axes)))
    block = taken.movedim(au_axes, front)[torch.meshgrid(*come, indexing="ij")]
    entry.movedim(au_axes, front)[torch.meshgrid(*to, indexing="ij")] = block.to(entry)
    return "copied" if len(shared) == n_target else "partly"


def _fit(taken, entry, au_axes, n_source, n_target):
    """Tell whether two entries agree but for the number of AUs on some axes."""
    expected = list(entry.shape)
    for axis in au_axes:
        expected[axis] = entry.shape[axis] // n_target * n_source
    return list(taken.shape) == expected


def _blocks(aus, shared, size):
    """Return the indices that the shared AUs' blocks take on an axis, in order."""
    block = size // len(aus)
    starts = torch.tensor([list(aus).index(au) * block for au in shared])
    return (starts.long().unsqueeze(1) + torch.arange(block)).flatten()
