"""Sections of the runbook, carried out for real on a service made for it: fault, alert, action, recovery."""
