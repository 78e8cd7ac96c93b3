"""Messages that break the contract, one way each."""

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

_TOO_LARGE: Final = 262_144 + 4_096

Message = dict[str, Any]


def _encode(message: Message) -> bytes:
    return json.dumps(message, ensure_ascii=True).encode()


def _not_json(message: Message, rng: Random) -> bytes:
    return rng.choice(
        (
            f"{message['source']};{message['published_at']};{message['text'][:80]}",
            "<html><head><title>502</title></head><body>upstream timed out</body></html>",
            str({"source": message["source"], "text": message["text"][:60]}),
        )
    ).encode()


def _truncated(message: Message, rng: Random) -> bytes:
    whole = _encode(message)
    return whole[: rng.randrange(20, len(whole) - 1)]


def _not_an_object(message: Message, _rng: Random) -> bytes:
    return json.dumps([message["source"], message["text"]]).encode()


def _missing_text(message: Message, _rng: Random) -> bytes:
    # Without the title too: a headline alone is a document.
    return _encode({name: message[name] for name in message if name not in ("title", "text")})


def _wrong_type(message: Message, rng: Random) -> bytes:
    wrong: Message = rng.choice(
        ({"text": 42}, {"text": ["a", "list"]}, {"tickers": {"0": 7}}, {"source": 7})
    )
    return _encode(message | wrong)


def _missing_date(message: Message, _rng: Random) -> bytes:
    return _encode({name: value for name, value in message.items() if name != "published_at"})


def _naive_date(message: Message, _rng: Random) -> bytes:
    return _encode(message | {"published_at": str(message["published_at"])[:19]})


def _wrong_date(message: Message, rng: Random) -> bytes:
    wrong = rng.choice(("yesterday", "2024-02-30T10:00:00Z", "11/03/24 10:15", "", "0"))
    return _encode(message | {"published_at": wrong})


def _nul(message: Message, rng: Random) -> bytes:
    return _encode(message | {"text": _inserted(message["text"], "\x00", rng)})


def _control_character(message: Message, rng: Random) -> bytes:
    mark = rng.choice(("\x07", "\x1b[31m", "\x08", "\x0c"))
    return _encode(message | {"text": _inserted(message["text"], mark, rng)})


def _lone_surrogate(message: Message, rng: Random) -> bytes:
    mark = rng.choice(("\ud83d", "\udc4d"))
    return _encode(message | {"text": _inserted(message["text"], mark, rng)})


def _not_utf8(message: Message, rng: Random) -> bytes:
    marked = message | {"text": _inserted(message["text"], " café £ ", rng)}
    encoding = "utf-16-le" if rng.random() < 0.3 else "latin-1"
    return json.dumps(marked, ensure_ascii=False).encode(encoding, "replace")


def _too_large(message: Message, _rng: Random) -> bytes:
    text = str(message["text"]) + " "
    return _encode(message | {"text": text * (_TOO_LARGE // len(text) + 1)})


def _empty(_message: Message, _rng: Random) -> bytes:
    return b""


def _inserted(text: str, mark: str, rng: Random) -> str:
    at = rng.randrange(1, len(text))
    return text[:at] + mark + text[at:]


DAMAGES: Final[dict[str, Callable[[Message, Random], bytes]]] = {
    "not_json": _not_json,
    "truncated_json": _truncated,
    "not_an_object": _not_an_object,
    "missing_text": _missing_text,
    "wrong_type": _wrong_type,
    "missing_date": _missing_date,
    "naive_date": _naive_date,
    "wrong_date": _wrong_date,
    "nul": _nul,
    "control_character": _control_character,
    "lone_surrogate": _lone_surrogate,
    "not_utf8": _not_utf8,
    "empty": _empty,
    "too_large": _too_large,
}
