"""What msgspec raises when it cannot decode: a kind of its own, and two of Python's that are easily forgotten."""

import msgspec

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Malformed or of another shape; a string that is not UTF-8; nested too deeply."""
