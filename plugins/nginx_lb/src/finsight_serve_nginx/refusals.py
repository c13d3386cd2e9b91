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
    retry_after: str = ""  # seconds, or nginx's variable that holds them; "": trying again is of no use

    @property
    def body(self) -> str:
        error = {"message": self.message, "type": self.type, "param": None, "code": self.code}
        return json.dumps({"error": error})


def refusals(max_body_size_bytes: int, retry_after_s: int) -> tuple[Refusal, ...]:
    invalid, server, limit = "invalid_request_error", "server_error", "rate_limit_exceeded"
    soon, exactly = str(retry_after_s), "$retry_after_s"
    ongoing = "Rate limit reached: too many ongoing requests."
    rate = "Rate limit reached: too many requests per second."
    tokens = "Rate limit reached: too many tokens per minute."
    too_large = f"The request body is larger than {max_body_size_bytes} bytes."
    overloaded = "The deployment has as many requests in work as it can answer in good time."
    return (
        Refusal("malformed", 400, "The HTTP request could not be understood.", invalid, "bad_request"),
        Refusal("unauthorized", 401, "The API key is missing or unknown.", invalid, "invalid_api_key"),
        Refusal("not_found", 404, "Nothing is served at this path; the API is under /v1/.", invalid, "not_found"),
        Refusal("too_large", 413, too_large, invalid, "request_too_large"),
        Refusal("limited", 429, ongoing, "rate_limit_error", limit, soon),
        Refusal("rate", 429, rate, "requests", limit, exactly),
        Refusal("tokens", 429, tokens, "tokens", limit, exactly),
        Refusal("bad_gateway", 502, "The replicas did not answer.", server, "bad_gateway", soon),
        Refusal("unavailable", 503, "No replica is ready.", server, "service_unavailable", soon),
        Refusal("overloaded", 503, overloaded, server, "overloaded", soon),
        Refusal("timeout", 504, "The replicas did not answer in time.", server, "timeout", soon),
    )
