import pytest
from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)  # a slow example says nothing on a busy machine
settings.load_profile("shared-machine")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
