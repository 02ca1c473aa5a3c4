"""Transformers begin as layer norms of their tokens, with gradients everywhere."""

import torch
import torch.nn.functional as F

from skfau.nn import FAUTransformer, MultiLabelTransformer
from tests.networks import draw_images, small_backbone


def likeness(tokens, others):
    """Return the mean cosine of tokens with the layer norms of others."""
    return float(
        F.cosine_similarity(tokens, F.layer_norm(others, others.shape[-1:]), -1).mean()
    )


def test_the_encoder_of_aus_begins_as_layer_norms():
    torch.manual_seed(0)
    network = FAUTransformer(6, small_backbone(), embedding_dim=64, encoder_layers=3)
    with torch.no_grad():
        features, aux = network.eval().forward_features(draw_images(8, 48))
    assert likeness(features, aux["embeddings"]) > 0.97


def test_the_encoder_of_patches_begins_as_layer_norms():
    torch.manual_seed(0)
    how = {"image_size": 48, "embedding_dim": 64}
    network = MultiLabelTransformer(6, small_backbone(), encoder_layers=3, **how)
    plain = MultiLabelTransformer(6, small_backbone(), encoder_layers=0, **how)
    plain.load_state_dict(network.state_dict(), strict=False)
    maps = torch.rand(8, 16, 12, 12)
    with torch.no_grad():
        patches, tokens = network.eval().encoder(maps), plain.eval().encoder(maps)
    assert likeness(patches, tokens) > 0.97
