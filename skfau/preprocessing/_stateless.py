"""What transformers of faces that learn nothing have in common."""


class StatelessMixin:
    """Tell scikit-learn that a transformer takes faces, and needs no `fit`."""

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        return tags
