"""pandas, which no extra brings: only who asks for a table needs it."""


def import_pandas(caller):
    """Return pandas, or raise an error that names `caller` and what to install."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(f"{caller} needs pandas: pip install pandas") from error
    return pandas
