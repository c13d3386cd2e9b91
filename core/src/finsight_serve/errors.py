"""What the person at the terminal can mend."""


class UserError(Exception):
    """Its text is for people: `fs` prints each line of it as `fs: …` and exits with 2, without a traceback."""
