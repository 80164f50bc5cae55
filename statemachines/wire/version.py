"""The version of this installation, as both ends of the link say it in their `Hello`."""

VERSION = "0.1.0"
"""Equal to the distribution's version (a test compares them). Written down here because asking the package metadata
costs a third of what a runner without an engine needs to start."""
