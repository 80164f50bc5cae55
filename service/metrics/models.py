"""Names of models as values of a label, with a bound: whoever fills a folder with files must not fill a time series
database with them."""

OTHER = "(other)"
"""What the models beyond the bound are counted as, together; no model can be called so."""


class ModelLabels:
    """The first models that are used keep their name for as long as the service runs; counters never move.

    Args:
        models_max: how many that may be [count].
    """

    def __init__(self, models_max: int) -> None:
        self._models_max = models_max
        self._known: set[str] = set()

    def of(self, model: str) -> str:
        """The label of a model."""
        if model in self._known:
            return model
        if len(self._known) >= self._models_max:
            return OTHER
        self._known.add(model)
        return model
