"""Every way in which an endpoint gives no answer is one sentence; and what it costs to ask is bounded."""

from __future__ import annotations

import json
import re
import time

import pytest
from scripted import MODEL, Reply, completion, error, serving, stream

from covey.authored import client as clients
from covey.authored.client import Client
from covey.authored.completions import SHOWN, quoted, read_completion, read_stream
from covey.authored.endpoint import FAULTS, Endpoint, read_key
from covey.authored.exchange import Answer, Fault, Message, Usage
from covey.authored.faults import retry_after
from covey.core.errors import BadInput

KEY = "key-0123456789-abcdef/+"
ASKED = (Message("system", "You answer."), Message("user", "Is it so?"))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No variables that the client looks for by itself, and no proxies."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SCRIPTED_KEY", KEY)


@pytest.fixture
def package():
    """The client; tests that ask for it are skipped where it is missing."""
    return pytest.importorskip("openai", reason="the package openai is not installed (extra `authored`)")


@pytest.fixture
def waits():
    """What a client has slept, in seconds."""
    return []


@pytest.fixture
def client_of(waits, package):
    """Makes a client of a server that waits without waiting."""

    def make(server, **settings):
        usual = {"model": "wanted", "api_key_env": "SCRIPTED_KEY", "timeout_s": 5.0, "attempts": 3}
        return Client(Endpoint(server.url, **usual | settings), sleep=waits.append, chance=lambda: 0.0)

    return make


# ---------------------------------------------------------------------------------------------------------------------
# Answers


def test_an_answer(client_of):
    with serving([completion()]) as server:
        answer = client_of(server).answer("code", ASKED)
    assert answer == Answer("Yes.", MODEL, "stop", Usage(10, 20))
    (request,) = server.requests
    assert request == {
        "path": "/v1/chat/completions",
        "model": "wanted",
        "messages": [{"role": "system", "content": "You answer."}, {"role": "user", "content": "Is it so?"}],
    }
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_what_is_set_is_sent(client_of):
    settings = {"temperature": 0.0, "seed": 7, "max_tokens": 100, "max_tokens_field": "max_completion_tokens"}
    with serving([completion(), stream()]) as server:
        client = client_of(server, stream=True, **settings)
        client.answer("code", ASKED)
        client.answer("code", ASKED)
    for number, request in enumerate(server.requests):
        assert (request["temperature"], request["seed"], request["max_completion_tokens"]) == (0.0, 7 + number, 100)
        assert request["stream"] is True
        assert request["stream_options"] == {"include_usage": True}
    assert "max_tokens" not in server.requests[0]


@pytest.mark.parametrize("reply", [stream("It is so, all of it."), stream("It is so, all of it.", done=False)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_streamed_answer(reply, chunked, client_of):
    with serving([reply._replace(chunked=chunked)]) as server:
        answer = client_of(server, stream=True).answer("code", ASKED)
    assert answer == Answer("It is so, all of it.", MODEL, "stop", Usage(10, 20))


def test_an_endpoint_that_needs_no_key(client_of, monkeypatch):
    """It gets none, though there is one for somebody else."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "somebody")
    with serving([completion()]) as server:
        client_of(server, api_key_env=None).answer("code", ASKED)
    assert "authorization" not in server.headers[0]
    assert not [name for name, value in server.headers[0].items() if KEY in value or "somebody" in value]


# ---------------------------------------------------------------------------------------------------------------------
# Faults

HTML = "<html><body>Sign in</body></html>"
NO_ANSWER = {
    "a key that is refused": (error(401, f"wrong key {KEY}"), "key", 1, "refuses the key (status 401)"),
    "a key without rights": (error(403), "key", 1, "refuses the key (status 403)"),
    "no such model": (error(404, "no model wanted"), "not-found", 1, "no model 'wanted' (status 404"),
    "no such setting": (error(400, "temperature is fixed"), "refused", 1, "it says: temperature is fixed"),
    "a key in an error": (error(400, f"bad header {KEY}"), "refused", 1, "it says: bad header [key]"),
    "a redirect": (Reply(status=307, headers={"Location": "https://else.where/v1?k=1"}), "redirect", 1, "else.where,"),
    "always busy": (error(429, "slow down"), "busy", 3, "status 429); it says: slow down"),
    "always failing": (error(500), "failing", 3, "fails again and again (status 500)"),
    "a failing proxy": (Reply(HTML, 502, "text/html"), "failing", 3, "(status 502)."),
    "a timeout over there": (error(408), "failing", 3, "(status 408)"),
    "a conflict": (error(409), "failing", 3, "(status 409)"),
    "a web page": (Reply(HTML, kind="text/html"), "no-json", 1, "a web page: is its URL right?"),
    "a web page as JSON": (Reply(HTML), "no-json", 1, "a web page"),
    "half of the JSON": (Reply('{"choices": ['), "no-json", 1, "text that is no JSON"),
    "nothing": (Reply(""), "no-json", 1, "answers with nothing"),
    "plain text": (Reply("Yes.", kind="text/plain"), "no-json", 1, "text that is no JSON"),
    "a plain string": (Reply('"Yes."'), "no-completion", 1, "JSON that is no object"),
    "a list": (Reply("[]"), "no-completion", 1, "JSON that is no object"),
    "other JSON": (Reply('{"response": "Yes."}'), "no-completion", 1, "another form"),
    "an error with status 200": (Reply('{"error": {"message": "overloaded"}}'), "error", 1, "overloaded"),
    "an error in words": (Reply('{"error": "overloaded"}'), "error", 1, "overloaded"),
    "no choices": (completion(choices=[]), "no-choices", 1, "has no choices"),
    "a choice that is none": (completion(choices=[None]), "no-choices", 1, "has no choices"),
    "no message": (completion(choices=[{"index": 0}]), "no-completion", 1, "without a message"),
    "no text": (completion(None), "no-text", 1, "has no text"),
    "blank text": (completion(" \n"), "no-text", 1, "has no text"),
    "text of parts": (completion([{"type": "text", "text": "Yes."}]), "no-text", 1, "has no text"),
    "cut off": (completion("Y", "length"), "cut-off", 1, "token limit"),
    "held back": (completion("Y", "content_filter"), "filtered", 1, "content filter"),
    "too long": (completion("x" * 3_000), "too-long", 1, "longer than 2000 bytes"),
    "lost on the way": (
        completion("x" * 500)._replace(cut=300, headers={"Content-Length": "900"}),
        "failing",
        3,
        "lost",
    ),
}
STREAMED = {
    "a stream that ends": (stream("Yes, it", None, done=False), "truncated", "after 7 characters"),
    "a stream that is done too early": (stream("Yes, it", None), "truncated", "after 7 characters"),
    "a stream that loses half an event": (stream("Yes.", done=False, cut=260), "truncated", "after"),
    "an empty stream": (Reply("", kind="text/event-stream"), "truncated", "after 0 characters"),
    "a web page as a stream": (Reply(HTML, kind="text/event-stream"), "truncated", "after 0 characters"),
    "a web page": (Reply(HTML, kind="text/html"), "no-json", "a web page"),
    "an error in a stream": (Reply('data: {"error": {"message": "x"}}\n\n', kind="text/event-stream"), "error", "x"),
    "no JSON in a stream": (Reply("data: Yes\n\n", kind="text/event-stream"), "no-json", "no JSON"),
    "a stream without text": (stream("", "stop"), "no-text", "no text"),
    "a stream that is cut off": (stream("Y", "length"), "cut-off", "token limit"),
}


@pytest.mark.parametrize(("reply", "name", "requests", "words"), NO_ANSWER.values(), ids=NO_ANSWER)
def test_no_answer(reply, name, requests, words, client_of, waits):
    with serving([reply]) as server, pytest.raises(Fault) as caught:
        client_of(server, answer_bytes=2_000).answer("code", ASKED)
    assert caught.value.name == name
    assert words in str(caught.value)
    assert len(server.requests) == requests
    assert len(waits) == requests - 1
    check_sentence(caught.value)


@pytest.mark.parametrize(("reply", "name", "words"), STREAMED.values(), ids=STREAMED)
def test_no_answer_in_a_stream(reply, name, words, client_of):
    with serving([reply]) as server, pytest.raises(Fault) as caught:
        client_of(server, stream=True).answer("code", ASKED)
    assert caught.value.name == name
    assert words in str(caught.value)
    check_sentence(caught.value)


def check_sentence(fault: Fault) -> None:
    """One line, of a known kind, that ends as a sentence does and holds no secret."""
    assert fault.name in FAULTS
    assert KEY not in repr(fault)
    assert re.fullmatch(r"[^\n]+[.?]", str(fault))


def test_a_chunked_stream_that_is_cut(client_of):
    """The connection says that it was cut, and so it is tried again; without chunks nobody says so."""
    with serving([stream("Yes, it is.", chunked=True, cut=150), stream("Yes, it is.", chunked=True)]) as server:
        answer = client_of(server, stream=True).answer("code", ASKED)
    assert answer.text == "Yes, it is."
    assert len(server.requests) == 2


def test_nobody_listens(waits, package):
    with serving([completion()]) as server:
        pass
    with pytest.raises(Fault, match="cannot be reached: does it run") as caught:
        Client(Endpoint(server.url, "m"), sleep=waits.append).answer("code", ASKED)
    assert (caught.value.name, caught.value.final, waits) == ("unreachable", True, [])


def test_an_endpoint_that_needs_a_key(client_of):
    with serving([error(401)]) as server, pytest.raises(Fault, match="name the variable that holds one") as caught:
        client_of(server, api_key_env=None).answer("code", ASKED)
    check_sentence(caught.value)


def test_a_slow_endpoint(client_of, waits):
    with serving([completion()._replace(wait_s=0.5), completion()]) as server:
        assert client_of(server, timeout_s=0.2).answer("code", ASKED).text == "Yes."
    with serving([completion()._replace(wait_s=0.5)]) as server, pytest.raises(Fault, match=r"within 0\.1 s") as caught:
        client_of(server, timeout_s=0.1, attempts=2).answer("code", ASKED)
    assert caught.value.name == "slow"
    assert waits == [0.5, 0.5]


def test_an_error_without_end(client_of):
    """No more of it is read than a sentence needs."""
    with serving([Reply("x" * 10**7, 400, "text/plain")]) as server, pytest.raises(Fault, match=r"says: x{197}\.\.\."):
        client_of(server).answer("code", ASKED)


# ---------------------------------------------------------------------------------------------------------------------
# Trying again


def test_it_waits_longer_each_time(client_of, waits):
    with serving([error(500), error(503), error(502), error(429), completion()]) as server:
        client_of(server, attempts=5).answer("code", ASKED)
    assert waits == [0.5, 1.0, 2.0, 4.0]


def test_waits_are_spread():
    client = object.__new__(Client)
    client._chance = lambda: 1.0
    assert [client._wait(k, None) for k in (0, 1, 20)] == [0.25, 0.5, 30.0]
    assert client._wait(3, 7.0) == 7.5


def test_it_waits_as_long_as_it_is_asked_to(client_of, waits):
    with serving([error(429, Retry_After="2"), error(503, Retry_After="90"), completion()]) as server:
        client_of(server).answer("code", ASKED)
    assert waits == [2.0, 90.0]


@pytest.mark.parametrize("asked", ["3600", "1e9"])
def test_it_does_not_wait_beyond_the_deadline(asked, client_of, waits):
    with serving([error(429, Retry_After=asked)]) as server, pytest.raises(Fault) as caught:
        client_of(server, deadline_s=60.0).answer("code", ASKED)
    assert caught.value.name == "busy"
    assert caught.value.final
    assert f"asks to wait {float(asked):.0f} s, and 60 s are left" in str(caught.value)
    assert (waits, len(server.requests)) == ([], 1)


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), ("0.5", 0.5), ("-4", 0.0), ("soon", None), ("nan", None), ("1e999", None)]
)
def test_retry_after(value, seconds):
    assert retry_after({"retry-after": value}) == seconds
    assert retry_after({}) is None


def test_retry_after_a_date():
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert 90 < (retry_after({"retry-after": later}) or 0.0) <= 100
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0


# ---------------------------------------------------------------------------------------------------------------------
# Budgets


def test_calls_are_counted_with_those_that_are_repeated(client_of):
    with serving([error(500), completion()]) as server:
        client = client_of(server, calls=3)
        client.answer("code", ASKED)
        client.answer("code", ASKED)
        with pytest.raises(Fault, match="budget of 3 calls is spent") as caught:
            client.answer("code", ASKED)
    assert caught.value.final
    assert len(server.requests) == 3


def test_tokens_are_counted(client_of):
    with serving([completion(), completion(usage=None)]) as server:
        client = client_of(server, tokens=31)
        client.answer("code", ASKED)
        client.answer("code", ASKED)
        assert client.tokens == 30 + len("Yes.You answer.Is it so?") // 4
        with pytest.raises(Fault, match="36 tokens are spent, and the budget is 31"):
            client.answer("code", ASKED)


def test_an_answer_of_no_use_costs_too(client_of):
    with serving([Reply("x" * 400, kind="text/plain")]) as server:
        client = client_of(server)
        with pytest.raises(Fault):
            client.answer("code", ASKED)
    assert client.tokens == (400 + len("You answer.Is it so?")) // 4


def test_the_deadline_is_for_all_questions(package):
    now = [0.0]
    with serving([error(500)]) as server:
        client = Client(
            Endpoint(server.url, "m", deadline_s=10.0, attempts=99, calls=99),
            sleep=lambda s: now.__setitem__(0, now[0] + s),
            clock=lambda: now[0],
            chance=lambda: 0.0,
        )
        with pytest.raises(Fault, match="another attempt would be in 8 s, and 2 s are left") as caught:
            client.answer("code", ASKED)
        assert caught.value.name == "deadline"
        now[0] = 11.0
        with pytest.raises(Fault, match="the 10 s for all questions are over"):
            client.answer("code", ASKED)


def test_an_answer_that_drips(client_of):
    """Every piece comes in time, and all of them together do not."""
    client = client_of(type("Nowhere", (), {"url": "http://127.0.0.1:1/v1"}), timeout_s=1.0)
    now = iter(range(10))
    client._clock = lambda: next(now)
    with pytest.raises(Exception, match="slow"):
        client._read(iter([b"x"] * 9), 3.0)


# ---------------------------------------------------------------------------------------------------------------------
# Keys and settings


def test_the_key_is_nowhere(client_of):
    """A server that repeats the key in its answer, in JSON's own spelling too."""
    escaped = KEY.replace("/", "\\/")
    body = json.dumps(json.loads(completion("TEXT").body)).replace("TEXT", f"{KEY} and {escaped}")
    with serving([Reply(body.replace(MODEL, KEY))]) as server:
        client = client_of(server)
        answer = client.answer("code", ASKED)
    assert answer.text == "[key] and [key]"
    assert KEY not in repr(answer) + repr(client) + json.dumps(client.about)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("NO_SUCH_KEY", None, "the environment variable `NO_SUCH_KEY` that --api-key-env names is not set"),
        ("EMPTY_KEY", "  ", "`EMPTY_KEY` that --api-key-env names is not set, or is empty"),
        ("STRANGE_KEY", "a\nb", "holds characters that no key has"),
        ("sk-0123456789", None, "takes the name of an environment variable that holds the key, not the key"),
        ("hf_AbCdEf0123456789", None, "the environment variable that --api-key-env names is not set"),
    ],
)
def test_keys_that_are_none(name, value, words, monkeypatch):
    if value is not None:
        monkeypatch.setenv(name, value)
    with pytest.raises(BadInput) as caught:
        read_key(name)
    assert words in str(caught.value)
    assert name.isupper() or name not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:11434/v1", "no URL of http"),
        ("ftp://host/v1", "no URL of http"),
        ("http://", "no URL of http"),
        ("http://host:port/v1", "no URL"),
        ("http://user:secret@host/v1", "must not hold a user"),
        ("http://host/v1?key=secret", "must not hold a user"),
        ("http://host/v1/chat/completions", "must end before"),
    ],
)
def test_urls_that_are_none(url, words):
    with pytest.raises(BadInput, match=words) as caught:
        Endpoint(url, "m")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["timeout_s", "deadline_s", "calls", "tokens", "answer_bytes", "attempts", "max_tokens"]
)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_settings_that_are_none(name, value):
    with pytest.raises(BadInput, match=f"`{name}` of an endpoint must be above 0"):
        Endpoint("http://host/v1", "m", **{name: value})


def test_without_a_model():
    with pytest.raises(BadInput, match="--model NAME"):
        Endpoint("http://host/v1", " ")


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(BadInput, match=r"pip install 'covey\[authored\]'"):
        clients._package()


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "3", '{"choices": 3}', '{"choices": [[]]}', "[" * 100_000])
@pytest.mark.parametrize("read", [read_completion, read_stream])
def test_bodies_that_are_none(body, read):
    with pytest.raises(Fault):
        read(body if read is read_completion else f"data: {body}\n\n")


def test_words_of_others_are_short_and_plain():
    assert quoted("a\n\x1b[31mb\tc") == "a ?[31mb c"
    assert len(quoted("x" * 999)) == SHOWN
