"""Between the store's documents and the controller's durable state."""

from pydantic import TypeAdapter, ValidationError

from ..store import Store, StoreError
from .state import Durable, State

STATE, NOW = "state", "now_s"
_DURABLE = TypeAdapter(Durable)


def recall(store: Store) -> State:
    """The state as it was committed last; an empty one at first. Raises `StoreError`."""
    body = store.read(STATE)
    if body is None:
        return State()
    try:
        durable = _DURABLE.validate_json(body)
    except ValidationError as error:
        raise StoreError(f"the stored state does not fit this version: {error.errors()[0]['loc']}") from error
    return State(durable=durable, now_s=float(store.read(NOW) or 0))


def documents(state: State) -> dict[str, str]:
    return {STATE: _DURABLE.dump_json(state.durable).decode(), NOW: repr(state.now_s)}
