"""What a person asked for and can't have now."""


class Refusal(Exception):
    """Raised while an intent is reduced; its text, for people, reaches who asked, and nothing has changed."""
