"""The figures that protocols are compared with."""

from skfau.datasets import published_results


def published_figures(protocol):
    """Return F1 in percent: AU number, or "mean" as printed, to figure."""
    data = published_results(protocol.dataset).data
    table = protocol.source.rsplit(" ", 1)[-1]
    rows = data[
        (data["table"] == table)
        & (data["method"] == protocol.title)
        & (data["kind"] == "comparison")
    ]
    (row,) = rows
    names = {"mean": "mean"} | {au: f"AU{au}" for au in protocol.aus}
    return {name: float(row[column]) for name, column in names.items()}
