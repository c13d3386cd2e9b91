"""What people should hear of a change. The reducer makes an `Event` of each, with the time of the fact."""

Telling = tuple[str, str, str]
"""Kind, subject, reason."""
Told = list[Telling]
