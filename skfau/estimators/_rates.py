"""Learning rates of the parts of a network that see the same in every batch."""


def slow_text_parts(network, factor):
    """Return the factors of `lr` for the parts that see the AUs' vectors and no image.

    A dozen vectors, the same in every batch, are all that these parts are ever given. A
    linear layer of 384 inputs of size 1 moves each of its outputs by up to 384 times
    the rate in one step of Adam, because all weights step by the whole rate and the
    same way. Their outputs have a size of about 1: at 0.001 the vectors that guide
    SEV-Net turn by 18 degrees in each of the first ten steps, those of MS-CAM by 11.
    They turn together, so that all AUs look at the same places (a mean cosine of 0.97
    between AUs), and the backbone learns for guides that are elsewhere in the next
    step. At a tenth of the rate they turn by 5 and 3 degrees. Weights that see images
    do not need this: what they are given differs from batch to batch, and steps in
    different directions cancel. ML-GCN's vectors become classifiers, not guides: from a
    backbone that knows faces the whole rate serves as well, from random weights it
    learns next to nothing.

    Parameters
    ----------
    network : SemanticNetwork
        Its ``text_parts()`` names the parts.
    factor : float
        Share of `lr` that they learn with.

    Returns
    -------
    factors : dict of str to float
        For ``System.lr_factors``.
    """
    return dict.fromkeys(network.text_parts(), factor)
