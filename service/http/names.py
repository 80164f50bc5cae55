"""A reference to a model as error messages repeat it."""


def short_name(reference: str) -> str:
    """``reference`` with the tag that it means when it has none: ``demo`` is ``demo:latest``."""
    name = reference.strip().removesuffix(":local")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
