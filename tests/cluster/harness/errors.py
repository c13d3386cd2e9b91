"""What goes wrong with the harness itself."""


class HarnessError(Exception):
    """One or a few lines for people: what failed, and where to look."""
