"""`FAUTransformerClassifier`: where its maps come from, and what it shows of itself."""

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline

from skfau import FAUTransformerClassifier, ROIHeatmaps
from skfau.exceptions import MissingColumnError
from skfau.nn import FAUTransformer, make_backbone
from tests.small import make_small


@pytest.fixture(scope="module")
def fitted(made):
    return make_small(FAUTransformerClassifier, max_epochs=1).fit(
        made.data, made.target
    )


def test_maps_of_the_pipeline_train_like_the_landmarks_that_they_are_of(fitted, made):
    maps = ROIHeatmaps(made.aus, size=fitted.map_size_)
    chain = make_pipeline(maps, make_small(FAUTransformerClassifier, max_epochs=1))
    chain.fit(made.data, made.target)
    # Places are read off a table, so that rounding moves a map by up to 1e-3.
    ours, theirs = chain[-1].history_[0]["map"], fitted.history_[0]["map"]
    assert ours == pytest.approx(theirs, rel=1e-3)
    proba = chain.predict_proba(made.data)
    np.testing.assert_allclose(proba, fitted.predict_proba(made.data), atol=0.02)


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        ({"aus": (2, 1, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)}, r"got \(2, 1, 4"),
        ({"size": 5}, r"shape \(16, 12, 6, 6\), got \(16, 12, 5, 5\)"),
    ],
)
def test_maps_of_other_aus_or_sizes_are_refused(made, maps, said):
    """As many AUs in another order would teach each where another one shows."""
    faces = ROIHeatmaps(**{"size": 6} | maps).transform(made.data)[16:]
    clf = make_small(FAUTransformerClassifier)
    with pytest.raises(ValueError, match=rf"{said}.*Use ROIHeatmaps\(aus=\(1, 2.*=6"):
        clf.fit(faces, made.target[16:])


def test_landmarks_are_needed_to_train_and_only_then(fitted, made):
    bare = made.data.with_columns(landmarks=None)
    np.testing.assert_array_equal(
        fitted.predict_proba(bare), fitted.predict_proba(made.data)
    )
    with pytest.raises(MissingColumnError, match="attention_supervision=False"):
        make_small(FAUTransformerClassifier).fit(bare, made.target)


def test_both_heads_maps_and_relations_are_the_networks(fitted, made):
    faces = made.data[:5]
    prepared = fitted.net_.module_.eval()
    with torch.inference_mode():
        pixels = prepared.pixels(torch.as_tensor(faces.images[...]))
        logits, aux = prepared.network(pixels)
        relations = prepared.network.relations(pixels)
    for ours, theirs in {
        "classifier": logits.sigmoid(),
        "attention": aux["attention_logits"].sigmoid(),
    }.items():
        proba = fitted.predict_proba(faces, head=ours)
        np.testing.assert_allclose(proba, theirs, atol=1e-6)
    np.testing.assert_allclose(
        fitted.attention_maps(faces), aux["attention_maps"], atol=1e-6
    )
    of_aus = fitted.au_relations(faces)
    np.testing.assert_allclose(of_aus, relations.mean(dim=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(of_aus.sum(axis=2), 1, atol=1e-5)
    with pytest.raises(ValueError, match="head must be 'classifier' or 'attention'"):
        fitted.predict_proba(faces, head="both")


def test_training_that_diverges_is_an_error(made):
    """NaN probabilities would pass for faces that were not found."""
    clf = make_small(FAUTransformerClassifier, lr=1e8, max_epochs=3)
    with pytest.raises(FloatingPointError, match=r"diverged.*Lower lr \(it is 1000000"):
        clf.fit(made.data, made.target)


def test_what_was_left_out_cannot_be_shown(made):
    plain = {"multi_task": False, "attention": False, "center_loss": None}
    clf = make_small(FAUTransformerClassifier, encoder_layers=0, max_epochs=1, **plain)
    clf.fit(made.data.with_columns(landmarks=None), made.target)
    with pytest.raises(ValueError, match="attention_maps needs the attention branch"):
        clf.attention_maps(made.data)
    with pytest.raises(ValueError, match="au_relations needs an encoder"):
        clf.au_relations(made.data)
    with pytest.raises(ValueError, match="head='attention' needs"):
        clf.predict_proba(made.data, head="attention")


def printed_weights(positives, power):
    """Return section 3.2's class weights, AU by AU."""
    shares = positives / positives.sum()
    soft = [(1 / (len(shares) * share)) ** power * share for share in shares]
    return np.array([sum(soft) / each for each in soft])


def own_equation_1(y, outputs, maps, weights, printed, lambdas):
    """Return equation 1 and its parts in float64, face by face and AU by AU."""
    if not printed:
        weights = weights / weights.mean()
    sigmoids = [1 / (1 + np.exp(-x)) for x in outputs["logits"]]
    n, n_aus = y.shape
    cells = [(face, au) for face in range(n) for au in range(n_aus)]

    def wce(p):
        entropy = -(y * np.log(p) + (1 - y) * np.log(1 - p))
        return sum((weights * row).mean() for row in entropy) / n

    def wtl(p, alpha=0.25, beta=0.75, eps=2.0):
        total = 0
        for au in range(n_aus):
            hit = (p[:, au] * y[:, au]).sum()
            wrong = alpha * (p[:, au] * (1 - y[:, au])).sum()
            missed = beta * ((1 - p[:, au]) * y[:, au]).sum()
            total += weights[au] * (wrong + missed + eps) / (hit + wrong + missed + eps)
        return total / n_aus

    def huber(d, delta=0.3):
        d = abs(d)
        return d**2 / 2 if d <= delta else delta * (d - delta / 2)

    drawn = outputs["maps"] - maps
    squares = {
        (face, au): (outputs["embeddings"][face, au] ** 2).sum() for face, au in cells
    }
    active = [squares[cell] for cell in cells if y[cell] == 1]
    inactive = [squares[cell] for cell in cells if y[cell] == 0]
    center = sum(active) / sum(inactive)
    if not printed:
        center *= len(inactive) / len(active)
    parts = [wce(sigmoids[0]) + wtl(sigmoids[0]), wce(sigmoids[1]) + wtl(sigmoids[1])]
    parts += [np.vectorize(huber)(drawn).mean(), center]
    return float(np.dot(lambdas, parts))


@pytest.mark.parametrize("balance", ["printed", "scaled"])
def test_equation_1_is_as_printed_or_scaled(balance, made):
    """Of a fit: weights from its labels, and every setting at its place."""
    settings = {"class_weight_power": 0.6, "tversky_eps": 2.0, "map_delta": 0.3}
    clf = make_small(
        FAUTransformerClassifier,
        balance=balance,
        map_target="all",
        loss_weights=(0.4, 0.3, 0.2, 0.1),
        max_epochs=1,
        **settings,
    ).fit(made.data, made.target)
    loss = clf.net_.criterion_.double()
    # As in the first step.
    loss.center_loss.centers.zero_()
    rng = np.random.default_rng(0)
    y = made.target[:9].astype(np.float64)
    n, n_aus = y.shape
    outputs = {
        "logits": rng.normal(size=(2, n, n_aus)),
        "maps": rng.uniform(size=(n, n_aus, 4, 4)),
        "embeddings": rng.normal(size=(n, n_aus, clf.embedding_dim)),
    }
    maps = rng.uniform(size=(n, n_aus, 4, 4))
    given = {name: torch.from_numpy(value) for name, value in outputs.items()}
    aux = {
        "attention_logits": given["logits"][0],
        "attention_maps": given["maps"],
        "embeddings": given["embeddings"],
    }
    targets = {"labels": torch.from_numpy(y), "maps": torch.from_numpy(maps)}
    ours = loss((given["logits"][1], aux), targets).item()
    weights = printed_weights(made.target.sum(axis=0, dtype=np.float64), 0.6)
    printed = balance == "printed"
    expected = own_equation_1(y, outputs, maps, weights, printed, (0.4, 0.3, 0.2, 0.1))
    # Weights are float32 in a loss.
    assert ours == pytest.approx(expected, rel=1e-6)


def test_heads_of_equal_width_on_any_backbone():
    """Table 3: but for the first convolutions, which read the backbone's maps."""
    widths = {"branch_channels": (128, 64), "attention_channels": 256}
    shapes = []
    for backbone in ("tiny", "resnet18"):
        network = FAUTransformer(12, backbone, **widths)
        shapes.append(
            {
                name: entry.shape
                for name, entry in network.state_dict().items()
                if not name.startswith("backbone.")
            }
        )
    others = [name for name, shape in shapes[0].items() if shapes[1][name] != shape]
    assert shapes[0].keys() == shapes[1].keys()
    assert others == ["attention.features.0.0.weight", "branches.gated.filters.weight"]


def test_the_baseline_may_be_the_whole_backbone(made):
    plain = {"multi_task": False, "attention": False, "center_loss": None}
    clf = make_small(
        FAUTransformerClassifier,
        backbone="resnet18",
        backbone_cut="full",
        encoder_layers=0,
        max_epochs=1,
        **plain,
    ).fit(made.data[::8], made.target[::8])
    own = {
        f"network.backbone.{name}"
        for name in make_backbone("resnet18", cut="full").state_dict()
    }
    assert own <= clf.net_.module_.state_dict().keys()
