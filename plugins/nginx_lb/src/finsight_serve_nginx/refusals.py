"""What clients are told when nginx itself answers, in the shape of OpenAI's errors."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    name: str  # of the page under /errors/
    status: int
    message: str
    type: str
    code: str
    retry: bool = False  # the client may try again: Retry-After is sent

    @property
    def body(self) -> str:
        error = {"message": self.message, "type": self.type, "param": None, "code": self.code}
        return json.dumps({"error": error})


def refusals(max_body_size_bytes: int) -> tuple[Refusal, ...]:
    invalid, server = "invalid_request_error", "server_error"
    too_large = f"The request body is larger than {max_body_size_bytes} bytes."
    return (
        Refusal("malformed", 400, "The HTTP request could not be understood.", invalid, "bad_request"),
        Refusal("unauthorized", 401, "The API key is missing or unknown.", invalid, "invalid_api_key"),
        Refusal("not_found", 404, "Nothing is served at this path; the API is under /v1/.", invalid, "not_found"),
        Refusal("too_large", 413, too_large, invalid, "request_too_large"),
        Refusal("limited", 429, "Too many ongoing requests.", "rate_limit_error", "rate_limit_exceeded", True),
        Refusal("bad_gateway", 502, "The replicas did not answer.", server, "bad_gateway", True),
        Refusal("unavailable", 503, "No replica is ready.", server, "service_unavailable", True),
        Refusal("timeout", 504, "The replicas did not answer in time.", server, "timeout", True),
    )
