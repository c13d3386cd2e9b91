"""A value that a field may not hold."""


class FieldError(ValueError):
    """`field` names it, so that a file's line can be found."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
