"""What a plan compiles to, as files that people apply by their own means. Pure."""

from .forms import FORMS, export

__all__ = ["FORMS", "export"]
