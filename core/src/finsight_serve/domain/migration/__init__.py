"""Moving one tenant's requests from where they go now to one deployment, step by step, or back. Pure."""

from .explanation import explain
from .orders import pause, request_rollback, resume
from .rules import check_rules, default_steps
from .shadow_proof import shadow_limits
from .split import weights
from .transitions import note_version, step
from .values import NOT_BEGUN, OVER, STEPS, Migration, MigrationRules, Phase, ShiftRecord, Situation, Waves

__all__ = [
    "NOT_BEGUN",
    "OVER",
    "STEPS",
    "Migration",
    "MigrationRules",
    "Phase",
    "ShiftRecord",
    "Situation",
    "Waves",
    "check_rules",
    "default_steps",
    "explain",
    "note_version",
    "pause",
    "request_rollback",
    "resume",
    "shadow_limits",
    "step",
    "weights",
]
