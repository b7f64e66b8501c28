"""What goes wrong between covey and an endpoint, in one sentence each and without secrets."""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from covey.authored.completions import error_words, quoted
from covey.authored.endpoint import Endpoint
from covey.authored.exchange import Fault

LEAST_SECRET = 8
"""Characters of a key from which on it is looked for in what comes back."""


class Status(Exception):
    """A response that is no success: its status, headers and the beginning of its body."""

    def __init__(self, code: int, headers: Mapping[str, str], body: str):
        super().__init__(code)
        self.code = code
        self.headers = headers
        self.body = body


class Transient(Exception):
    """What may be different at the next attempt; `fault` if it is not."""

    def __init__(self, fault: Fault):
        super().__init__(fault.name)
        self.fault = fault


class Sentences:
    """Faults of an endpoint, none of which holds its key."""

    def __init__(self, endpoint: Endpoint, key: str | None):
        self.endpoint = endpoint
        self._key = key

    def clean(self, text: str) -> str:
        """`text` without the key, which a server may repeat."""
        key = self._key or ""
        return text.replace(key, "[key]") if len(key) >= LEAST_SECRET else text

    def _says(self, status: Status) -> str:
        said = self.clean(error_words(status.body))
        return f"; it says: {quoted(said)}" if said else ""

    def refusal(self, status: Status) -> Fault:
        """Of a status after which asking again is of no use."""
        code, url = status.code, self.endpoint.url
        match code:
            case 401 | 403:
                named = self.endpoint.api_key_env
                mend = (
                    "name the variable that holds one, with --api-key-env." if named is None else "is it the right key?"
                )
                return Fault("key", f"the endpoint {url} refuses the key (status {code}): {mend}", final=True)
            case 404:
                sentence = (
                    f"the endpoint {url} knows no such address, or no model {self.endpoint.model!r} (status 404; "
                    f"nothing but /chat/completions is added to the URL, no /v1){self._says(status)}."
                )
                return Fault("not-found", sentence, final=True)
            case _ if code < 400:
                return Fault("redirect", f"the endpoint {url} redirects (status {code}){_whither(status)}.", final=True)
            case _:
                return Fault("refused", f"the endpoint refuses the request (status {code}){self._says(status)}.", True)

    def failure(self, status: Status) -> Fault:
        """Of a status that comes again and again."""
        if status.code == 429:
            limit = f"the endpoint is too busy, or a limit of yours is reached (status 429){self._says(status)}."
            return Fault("busy", limit, final=True)
        return Fault("failing", f"the endpoint fails again and again (status {status.code}){self._says(status)}.")

    def slow(self) -> Transient:
        limit = min(self.endpoint.timeout_s, self.endpoint.deadline_s)
        return Transient(Fault("slow", f"the endpoint does not answer within {limit:g} s: raise the timeout."))

    def lost(self, error: BaseException) -> Exception:
        """Of a connection that never was (a Fault), or that was lost on the way."""
        if _never_connected(error):
            return Fault("unreachable", f"the endpoint {self.endpoint.url} cannot be reached: does it run?", final=True)
        return Transient(Fault("failing", "the connection to the endpoint was lost on the way, again and again."))


def _never_connected(error: BaseException | None) -> bool:
    while error is not None:
        if type(error).__name__ in ("ConnectError", "UnsupportedProtocol", "ProxyError"):
            return True
        error = error.__cause__ or error.__context__
    return False


def _whither(status: Status) -> str:
    """Where a redirect leads to: the host alone, since the rest may be secret."""
    target = urlsplit(status.headers.get("location", ""))
    return f" to {target.scheme}://{target.hostname}, which is not followed" if target.hostname else ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks to wait, as a number or as a date; None where it says nothing that is clear."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = email.utils.parsedate_tz(value)
        seconds = math.nan if date is None else email.utils.mktime_tz(date) - time.time()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
