"""A reference to a model as error messages repeat it."""

from service.store.names import parse_name, split_source


def short_name(reference: str) -> str:
    """The shortest name that means the same, always with its tag: ``demo`` is ``demo:latest``."""
    name = parse_name(split_source(reference.strip()).text)
    return str(name) if name else reference
