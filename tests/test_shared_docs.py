"""Parameters and attributes of one name have one text in all AU classifiers.

The texts stay literal, where readers and tools see them; this holds them together.
"""

import re
from collections import defaultdict

import pytest

from tests.small import CLASSIFIERS
from tests.test_docs import section

# How a text begins that a class goes on with.
BEGINS = {
    "backbone": (
        "A name of `skfau.nn.make_backbone`, or a module of your own that returns "
        'feature maps; ``"tiny"`` trains on a CPU in a minute.'
    ),
    "weights": (
        'Initial weights of the backbone: ``"imagenet"`` (downloaded once and '
        'checked), ``"rendered"`` (of ``"tiny"``, shipped, learned on rendered faces), '
        "a file of torchvision's state dict, or None for random weights."
    ),
    "class_weight": "Weights of the AUs in the loss, from the training labels.",
    "lr_decay": "Factor that lowers the learning rate.",
    "aus": (
        "AU number of each column of y. None takes the column names of a DataFrame, or "
        "counts from 0. Numbers that FACS lacks are labels of your own."
    ),
    "image_size": (
        "Side of the network's input, pixels; faces of another size are resampled."
    ),
    "grayscale": "Convert colours to grey (luma) first.",
    "augmentation": "Random changes to training batches.",
    "lr": "Initial learning rate.",
    "weight_decay": "Weight decay of the optimiser.",
    "batch_size": "Faces per step and per forward pass.",
    "init_from": (
        "Fitted classifier, fitted pipeline or search around one, or file of `save`, "
        "to start from."
    ),
    "precision": (
        'Number format of the network; ``"auto"`` is bfloat16 on a GPU. Weights and '
        "losses are float32."
    ),
    "history_": "Per epoch ``train_loss`` and, with early stopping, ``valid_f1``.",
}
# Names that mean something else in every system, or in one.
OWN_MEANING = {
    *("channels", "dropout", "embedding_dim", "hidden_dim", "feed_forward_dim"),
    *("encoder_layers", "n_heads", "region_layer", "roi_convention", "variant"),
    "schedule",
}
EXCEPT = {("AUNetClassifier", "backbone")}
# Types that differ: some papers have no "published", one class vectors of words.
OWN_TYPE = {"augmentation", "text_"}


def entries(cls, title):
    """Yield name, type without default, and text of each entry of a section."""
    pattern = r"^(\w+) : ([^\n]*)\n((?:    [^\n]*\n?)+)"
    for name, kind, text in re.findall(pattern, section(cls.__doc__, title), re.M):
        # A class and its network are "its own" in every class.
        text = re.sub(r"`skfau\.nn\.[A-Z]\w+`", "its network", " ".join(text.split()))
        kind = kind.replace(cls.__name__, "its class").split(", default=")[0]
        yield name, kind, text


def gather():
    """Return types and texts by name, of names that several classes have."""
    found = defaultdict(dict)
    for cls in CLASSIFIERS:
        for title in ("Parameters", "Attributes"):
            for name, kind, text in entries(cls, title):
                found[name][cls.__name__] = kind, text
    return {name: told for name, told in found.items() if len(told) > 1}


SHARED = gather()


@pytest.mark.parametrize("name", sorted(SHARED.keys() - OWN_MEANING))
def test_a_shared_name_has_one_text(name):
    told = SHARED[name].items()
    kinds = {kind for cls, (kind, _) in told if (cls, name) not in EXCEPT}
    texts = {text for _, text in SHARED[name].values()}
    assert (len(kinds) > 1) == (name in OWN_TYPE), kinds
    if name not in BEGINS:
        assert len(texts) == 1, texts
        return
    assert len(texts) > 1, f"{name} has one text: take it out of BEGINS"
    for cls, (_, text) in SHARED[name].items():
        as_all = (cls, name) not in EXCEPT
        assert text.startswith(BEGINS[name]) == as_all, f"{cls}: {text}"


@pytest.mark.parametrize("name", sorted(OWN_MEANING))
def test_a_name_of_its_own_meaning_has_several_texts(name):
    assert len({text for _, text in SHARED[name].values()}) > 1, name
