"""SEV-Net: its equations in float64, sets of AUs, sizes, and the cached text side."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skfau.nn import SEVNet
from tests.networks import draw_images, small_backbone, stirred

N_AUS = 4


def draw_text(n_aus=N_AUS, width=8, seed=0, n_words=None):
    shape = (n_aus, width) if n_words is None else (n_aus, n_words, width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make_network(text=None, seed=0, **parameters):
    torch.manual_seed(seed)
    small = {"hidden_dim": 12, "feed_forward_dim": 16, "n_heads": 3}
    text = draw_text() if text is None else text
    network = stirred(SEVNet(len(text), text, small_backbone(), **small | parameters))
    network.text.copy_(text.nan_to_num(0))
    return network.eval()


def reference(maps, guides, eps=0.01):
    """Equations 4 to 6, a position at a time."""
    n, channels, height, width = maps.shape
    features = np.zeros((n, len(guides), channels))
    attention = np.zeros((n, len(guides), height, width))
    for image, k in np.ndindex(n, len(guides)):
        z = np.full((height, width), eps)
        for i, j in np.ndindex(height, width):
            v = maps[image, :, i, j]
            for w in guides[k]:
                norms = np.linalg.norm(v) * np.linalg.norm(w)
                z[i, j] += max(0.0, v @ w / norms) if norms else 0.0
        attention[image, k] = z / z.sum()
        for i, j in np.ndindex(height, width):
            features[image, k] += attention[image, k, i, j] * maps[image, :, i, j]
    return features, attention


@pytest.fixture(scope="module")
def attend():
    """The attention of a network over 16 channels: logits and maps, in float64."""
    return make_network().double().attention


def features_of(attend, logits):
    """Return the one linear layer's input, as far as it moves the logits."""
    return logits - attend.classifier.bias


@pytest.mark.parametrize("eps", [0.01, 0.0, 0.5])
@pytest.mark.parametrize("n_words", [1, 3])
def test_attention_is_equations_4_to_6(n_words, eps):
    attend = make_network(attention_eps=eps).double().attention
    rng = np.random.default_rng(0)
    maps = np.maximum(rng.normal(size=(2, 16, 3, 4)), 0)
    maps[0, :, 1, 1] = 0
    guides = rng.normal(size=(3, n_words, 16))
    with torch.no_grad():
        logits, attention = attend(torch.tensor(maps), torch.tensor(guides))
        features, expected = reference(maps, guides, eps)
        np.testing.assert_allclose(attention, expected, rtol=1e-10)
        expected = attend.classifier(torch.tensor(features)).squeeze(-1)
    assert logits.dtype == attention.dtype == torch.float64
    torch.testing.assert_close(logits, expected)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 99), scale=st.floats(1e-3, 1e3), shift=st.integers(1, 4))
def test_attention_is_a_distribution_blind_to_the_length_of_vectors(
    attend, seed, scale, shift
):
    rng = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, 16, 3, 3, generator=rng, dtype=torch.float64)
    guides = torch.randn(4, 1, 16, generator=rng, dtype=torch.float64)
    logits, attention = attend(maps, guides)
    ones = torch.ones(2, 4, dtype=torch.float64)
    torch.testing.assert_close(attention.sum(dim=(2, 3)), ones)
    assert attention.min() > 0
    scaled = attend(maps * scale, guides * scale)
    torch.testing.assert_close(
        features_of(attend, scaled[0]), features_of(attend, logits) * scale
    )
    torch.testing.assert_close(scaled[1], attention)
    rolled = attend(maps.roll(shift, dims=3), guides)
    torch.testing.assert_close(rolled[0], logits)
    torch.testing.assert_close(rolled[1], attention.roll(shift, dims=3))


@pytest.mark.parametrize("eps", [0.01, 0.0])
def test_attention_is_uniform_where_no_cosine_is_positive(eps):
    attend = make_network(attention_eps=eps).double().attention
    maps = torch.rand(1, 16, 2, 2, dtype=torch.float64, requires_grad=True)
    guides = torch.full((1, 1, 16), -1.0, dtype=torch.float64, requires_grad=True)
    logits, attention = attend(maps, guides)
    torch.testing.assert_close(attention, torch.full_like(attention, 0.25))
    torch.testing.assert_close(logits, attend.classifier(maps.mean(dim=(2, 3))))
    logits.sum().backward()
    assert maps.grad.isfinite().all() and guides.grad.isfinite().all()


@pytest.mark.parametrize("eps", [0.01, 0.0])
def test_nan_stays_in_its_image(eps):
    network, images = make_network(attention_eps=eps), draw_images()
    images[1, 0, 3, 3] = torch.nan
    known = network(images)[0].isfinite().all(dim=1)
    assert known.tolist() == [True, False, True]


def test_logits_are_one_linear_layer_over_the_attended_features():
    network, images = make_network(), draw_images()
    with torch.no_grad():
        logits, aux = network(images)
        sides = network.backbone(images), network.guides()
        features, maps = map(torch.tensor, reference(*(x.numpy() for x in sides)))
    torch.testing.assert_close(
        aux["attention_maps"].double(), maps, atol=1e-6, rtol=1e-4
    )
    layer = network.attention.classifier
    expected = (features * layer.weight[0]).sum(dim=-1) + layer.bias
    torch.testing.assert_close(logits.double(), expected, atol=1e-5, rtol=1e-5)


@settings(deadline=None, max_examples=10)
@given(order=st.permutations(range(N_AUS)), words=st.booleans())
def test_permuting_the_aus_permutes_the_outputs(order, words):
    text = draw_text(n_words=3 if words else None)
    network, images = make_network(text), draw_images()
    moved = make_network(text[order])
    moved.load_state_dict({**network.state_dict(), "text": text[order]})
    torch.testing.assert_close(moved(images)[0], network(images)[0][:, order])


@pytest.mark.parametrize("encoder_layers", [0, 2])
def test_two_aus_that_swap_descriptions_swap_outputs_and_no_other_moves(encoder_layers):
    network, images = make_network(encoder_layers=encoder_layers), draw_images()
    before, maps = network(images)
    network.text[[0, 2]] = network.text[[2, 0]]
    after, moved = network(images)
    torch.testing.assert_close(after, before[:, [2, 1, 0, 3]])
    expected = maps["attention_maps"][:, [2, 1, 0, 3]]
    torch.testing.assert_close(moved["attention_maps"], expected)


@pytest.mark.parametrize("encoder_layers", [0, 2])
def test_another_description_reaches_other_aus_through_the_encoder_only(encoder_layers):
    network, images = make_network(encoder_layers=encoder_layers), draw_images()
    before = network(images)[0]
    network.text[1] = draw_text(seed=5)[1]
    changed = (network(images)[0] - before).abs().amax(dim=0) > 1e-6
    assert changed.tolist() == (
        [True] * 4 if encoder_layers else [False, True] + [0] * 2
    )


def test_published_sizes():
    network = SEVNet(12, draw_text(12, 1024))
    n_backbone = sum(p.numel() for p in network.backbone.parameters())
    n_all = sum(p.numel() for p in network.parameters())
    layer = 4 * 768 * 768 + 768 * 1024 + 1024 + 1024 * 768 + 768 + 4 * 768
    n_text = 1024 * 768 + 768 + 2 * layer + 768 * 512 + 512 + 512 + 1
    assert n_all - n_backbone == n_text
    assert round(n_backbone / 1e6, 2) == 11.18
    assert round(n_text / 1e6, 2) == 9.06


def test_one_word_is_a_sentence():
    text = draw_text()
    words = torch.full((N_AUS, 3, 8), torch.nan)
    words[:, 0] = text
    sentence, word, images = make_network(text), make_network(words), draw_images()
    word.load_state_dict({**sentence.state_dict(), "text": word.text})
    torch.testing.assert_close(word(images)[0], sentence(images)[0])
    torch.testing.assert_close(word.relations(), sentence.relations())


def related(network, tokens):
    """Equations 2 and 3 for the vectors of texts, by hand."""
    state = {k: v.double().numpy() for k, v in network.state_dict().items()}

    def linear(name, x):
        bias = state.get(f"{name}.bias")
        return x @ state[f"{name}.weight"].T + (0 if bias is None else bias)

    def norm(name, x):
        spread = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
        scaled = (x - x.mean(axis=-1, keepdims=True)) / spread
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    x = linear("embed", tokens)
    for number in range(2):
        layer = f"encoder.layers.{number}"
        query, key, value = np.split(linear(f"{layer}.attention.qkv", x), 3, axis=-1)
        heads = []
        for head in np.split(np.arange(12), 3):
            scores = np.exp(query[:, head] @ key[:, head].T / 2)
            heads.append(scores / scores.sum(axis=1, keepdims=True) @ value[:, head])
        seen = linear(f"{layer}.attention.out", np.concatenate(heads, axis=1))
        x = norm(f"{layer}.norm1", x + seen)
        hidden = linear(f"{layer}.feed_forward.0", x)
        hidden = hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2))) / 2
        x = norm(f"{layer}.norm2", x + linear(f"{layer}.feed_forward.3", hidden))
    return linear("attention.project", x)


@pytest.mark.parametrize("n_words", [None, 3])
def test_all_that_are_described_meet_in_the_encoder(n_words):
    text = draw_text(7, n_words=n_words)
    network = make_network(text[:N_AUS], context=text[N_AUS:]).double()
    network.context.copy_(text[N_AUS:])
    expected = related(network, text.double().flatten(0, -2).numpy())
    guides = network.guides()
    assert guides.shape == (N_AUS, n_words or 1, 16)
    expected = expected[: guides[:, :, 0].numel()].reshape(guides.shape)
    np.testing.assert_allclose(guides.detach(), expected, atol=1e-10)
    assert network(draw_images().double())[0].shape == (3, N_AUS)


def test_an_au_of_the_context_meets_itself_once():
    text = draw_text(6)
    network = make_network(text[:N_AUS], context=text[N_AUS:]).double()
    network.context.copy_(text[N_AUS:])
    guide = network.guides_of(text[5:])[0, 0]
    expected = related(network, text.double().numpy())[5]
    np.testing.assert_allclose(guide.detach(), expected, atol=1e-10)


def test_relations_leave_a_share_for_the_context():
    network = make_network(context=draw_text(2, seed=5))
    relations = network.relations()
    assert relations.shape == (2, 3, N_AUS, N_AUS)
    assert (relations.sum(dim=-1) < 0.99).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"encoder_layers": 0}, "at least 1. Got encoder_layers=0"),
        ({"text": None}, "and no text"),
        ({"context": draw_text(2, 9)}, r"Got \(2, 9\) beside \(4, 8\)"),
        ({"context": draw_text(2, 8, n_words=2)}, "must have the form of text"),
        ({"context": torch.zeros(2, 8)}, "at least one finite vector"),
    ],
)
def test_a_context_that_does_not_fit_is_refused(parameters, message):
    given = {"text": draw_text(), "context": draw_text(2, seed=5)} | parameters
    small = {"backbone": small_backbone(), "hidden_dim": 12}
    with pytest.raises(ValueError, match=message):
        SEVNet(4, **given, **small)


def test_padding_of_words_changes_nothing():
    text = draw_text(n_words=3)
    padded = torch.cat([text, torch.full((N_AUS, 2, 8), torch.nan)], dim=1)
    short, long, images = make_network(text), make_network(padded), draw_images()
    long.load_state_dict({**short.state_dict(), "text": long.text})
    torch.testing.assert_close(long(images)[0], short(images)[0])


def test_relations_are_distributions_over_aus():
    for text in (draw_text(), draw_text(n_words=3)):
        relations = make_network(text).relations()
        assert relations.shape == (2, 3, N_AUS, N_AUS)
        torch.testing.assert_close(relations.sum(dim=-1), torch.ones(2, 3, N_AUS))


def test_the_encoder_is_that_of_pytorch_without_the_projections_biases():
    encoder = make_network(feed_forward_dim=7, encoder_layers=1).encoder
    layer, twin = (
        encoder.layers[0],
        torch.nn.TransformerEncoderLayer(12, 3, 7, 0.0, "gelu", batch_first=True),
    )
    with torch.no_grad():
        twin.self_attn.in_proj_weight.copy_(layer.attention.qkv.weight)
        twin.self_attn.out_proj.weight.copy_(layer.attention.out.weight)
    twin.linear1, twin.linear2 = layer.feed_forward[0], layer.feed_forward[3]
    twin.norm1, twin.norm2 = layer.norm1, layer.norm2
    tokens, seen = torch.randn(2, 5, 12), torch.tensor([[True] * 4 + [False]] * 2)
    expected = twin(tokens, src_key_padding_mask=~seen)
    torch.testing.assert_close(encoder(tokens, seen)[:, :4], expected[:, :4])


def test_text_starts_centred_and_every_au_with_a_map():
    shared = 5 * draw_text(1, 64, seed=9)
    torch.manual_seed(0)
    network = SEVNet(12, draw_text(12, 64) + shared, "tiny", hidden_dim=96).eval()
    mean = network.embed(network.text).mean(dim=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    maps = network(draw_images(2, 48))[1]["attention_maps"]
    assert (maps.flatten(2).std(dim=-1) > 1e-6).all()


@pytest.mark.parametrize("encoder_layers", [0, 2])
def test_aus_start_apart_whatever_their_texts_share(encoder_layers):
    shared = 5 * draw_text(1, 64, seed=9)
    torch.manual_seed(0)
    text = draw_text(12, 64) + shared
    network = SEVNet(12, text, small_backbone(), encoder_layers=encoder_layers).eval()
    cosines = torch.corrcoef(network.guides()[:, 0])
    assert cosines[~torch.eye(12, dtype=bool)].mean() < 0.5


def test_text_is_computed_once_and_again_when_a_weight_changes():
    network, images, calls = make_network(), draw_images(), []
    network.encoder.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        first = network(images)[0]
        network(images)
        assert len(calls) == 1
        network.embed.weight.mul_(2)
        assert not torch.equal(network(images)[0], first)
        network.load_state_dict(make_network(seed=1).state_dict())
        torch.testing.assert_close(network(images)[0], make_network(seed=1)(images)[0])
        network.text[0] = 1
        network(images)
    assert len(calls) == 4
    network(images)
    network.train()(images)
    assert len(calls) == 6


@pytest.mark.parametrize("training", [True, False])
def test_steps_of_a_fused_optimiser_are_noticed(training):
    network, images = make_network(), draw_images()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.1, fused=True)
    with torch.inference_mode():
        network(images)
    network.train(training)(images)[0].sum().backward()
    optimiser.step()
    with torch.inference_mode():
        seen = network.eval()(images)[0]
        assert torch.equal(seen, copy.deepcopy(network)(images)[0])


def test_kept_text_serves_other_types_copies_and_pickles():
    network, images = make_network(), draw_images()
    with torch.inference_mode():
        expected = network(images)[0]
        twins = copy.deepcopy(network), pickle.loads(pickle.dumps(network))
        for twin in (*twins, network):
            assert torch.equal(twin(images)[0], expected)
            torch.testing.assert_close(
                twin.double()(images.double())[0], expected.double(), atol=1e-4, rtol=0
            )


def test_a_step_after_prediction_trains_on_fresh_text():
    network, images = make_network(), draw_images()
    with torch.inference_mode():
        network(images)
    network(images)[0].sum().backward()
    assert network.embed.weight.grad.any()


@pytest.mark.parametrize("n_words", [None, 3])
def test_a_new_au_joins_the_trained_ones_alone(n_words):
    network, new = make_network(draw_text(n_words=n_words)), draw_text(3, seed=7)
    together = network.guides_of(new)
    for row in range(3):
        alone = network.guides_of(new[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone)
    assert together.shape == (3, 1, 16)


def test_without_an_encoder_a_new_au_is_what_a_trained_one_would_be():
    text = draw_text()
    network = make_network(text, encoder_layers=0)
    torch.testing.assert_close(network.guides_of(text), network.guides())


def test_attention_learns_where_the_bias_lets_it_start():
    torch.manual_seed(0)
    text = torch.randn(50, 8)
    network = SEVNet(50, text, small_backbone(512), encoder_layers=0)
    _, maps = network.attention(torch.rand(1, 512, 3, 3), network.guides())
    assert (maps.flatten(2).std(dim=-1) > 1e-7).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (torch.zeros(3, 8), r"one row per AU, shape \(4, d\) or \(4, n_words, d\)"),
        (torch.zeros(8), "one row per AU"),
        (torch.zeros(4, 8), "at least one finite vector that is not 0"),
        (torch.full((4, 2, 8), torch.nan), "at least one finite vector"),
        (torch.eye(4)[[0, 1, 2, 1]], "Rows 1 and 3 of text are the same"),
    ],
)
def test_text_that_does_not_fit_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        SEVNet(4, text, small_backbone())


def test_other_errors_name_the_remedy():
    with pytest.raises(ValueError, match=r"multiple of n_heads\. Got hidden_dim=10"):
        make_network(hidden_dim=10)
    with pytest.raises(ValueError, match="encoder_layers of at least 1"):
        make_network(encoder_layers=0).relations()
    with pytest.raises(ValueError, match=r"8 wide.*Got 9; use the same"):
        make_network().guides_of(draw_text(width=9))
