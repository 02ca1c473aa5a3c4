"""The class of the shipped model: a pipeline that prints in a few lines."""

from sklearn.pipeline import Pipeline


class PretrainedPipeline(Pipeline):
    """A `~sklearn.pipeline.Pipeline` whose print says what it takes and knows.

    Parameters of its frozen parts, which nothing sets any more, would fill pages.
    """

    def __repr__(self):
        lines = [f"    {name}: {_describe(step)}" for name, step in self.steps]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def _describe(step):
    aus = getattr(step, "aus_", None)
    if aus is None:
        text = repr(step)
        return f"{type(step).__name__}(...)" if "\n" in text else text
    listed = ", ".join(map(str, aus))
    return f"{type(step).__name__}, fitted, {len(aus)} AUs: {listed}"
