"""FinSight Serve: one file says which model, which tenants, which policy; any orchestrator runs it."""

__version__ = "0.1.0"
