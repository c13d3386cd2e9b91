"""SQLite on one thread: the state, the events, and the ledger in a file of its own. Nothing above it knows SQL."""

from .lease import Lease, LeaseTaken
from .ledger import Ledger, Totals
from .store import Store, StoreError

__all__ = ["Lease", "LeaseTaken", "Ledger", "Store", "StoreError", "Totals"]
