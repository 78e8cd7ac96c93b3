"""From the body of a request to the bytes of its documents."""

from __future__ import annotations

import json
import zlib
from typing import Any, NoReturn

from monitor.push.refusal import RefusedError

JSON_TYPES = ("application/json",)
LINES_TYPES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
_BOM = b"\xef\xbb\xbf"


def unpacked(body: bytes, encoding: str | None, limit: int) -> bytes:
    """The body without its content encoding, of at most ``limit`` bytes.

    Raises ``RefusedError``: 413, 415 for an encoding other than gzip, 400 where it is damaged.
    """
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        return body
    if name not in ("gzip", "x-gzip"):
        raise RefusedError(
            415,
            f"the content encoding {ascii(name)[:40]} is not understood; send gzip, or none",
            {"Accept-Encoding": "gzip"},
        )
    parts: list[bytes] = []
    room = limit + 1
    while body:  # RFC 1952: one member behind the other
        inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            part = inflate.decompress(body, room)
        except zlib.error as error:
            raise RefusedError(400, f"the body is not gzip as it says: {error}") from None
        parts.append(part)
        room -= len(part)
        if room <= 0:
            raise too_large(limit, "unpacked it has more than")
        if not inflate.eof:
            raise RefusedError(400, "the body's gzip ends in the middle")
        body = inflate.unused_data
    return b"".join(parts)


def too_large(limit: int, what: str = "it has more than") -> RefusedError:
    """A body of more than ``limit`` bytes."""
    return RefusedError(
        413, f"the body is too large: {what} {limit:,} bytes; send several requests"
    )


def documents_of(body: bytes, content_type: str | None, most: int) -> list[bytes]:
    """The documents, each as the bytes of its JSON: undecoded, unless they stand in an array.

    Raises ``RefusedError``: 415 for another type, 400 where the body as a whole is no JSON or holds
    nothing, 413 for more than ``most`` documents.
    """
    kind, _, parameters = (content_type or "").partition(";")
    kind = kind.strip().lower()
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if parameters.strip().lower().startswith("charset=") and charset not in ("utf-8", "utf8"):
        raise RefusedError(415, f"the charset {ascii(charset)[:40]} is not understood; send UTF-8")
    body = body.removeprefix(_BOM)
    if kind in LINES_TYPES:
        documents = [line for raw in body.split(b"\n") if (line := raw.strip(b" \t\r"))]
    elif kind in JSON_TYPES:
        documents = _in_json(body)
    else:
        raise RefusedError(
            415,
            f"the content type {ascii(kind)[:60]} is not understood; send application/json (one "
            "object or an array) or application/x-ndjson (one object a line), e.g. "
            "curl -H 'Content-Type: application/json'",
            {"Accept": ", ".join((*JSON_TYPES, *LINES_TYPES))},
        )
    if not documents:
        raise RefusedError(400, "the body holds no document")
    if len(documents) > most:
        raise RefusedError(
            413, f"{len(documents):,} documents are too many: {most:,} a request are allowed"
        )
    return documents


def _in_json(body: bytes) -> list[bytes]:
    start = body.lstrip(b" \t\r\n")
    if not start.startswith(b"["):
        return [body] if start else []  # what is wrong with it, the contract says
    try:
        found = _parse(body.decode())
    except UnicodeDecodeError as error:
        fault = f"{error.reason} at byte {error.start}"
        raise RefusedError(400, f"the body is not UTF-8: {fault}") from None
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body is not a JSON array: {str(error)[:200]}") from None
    return [_bytes_of(item) for item in found]


def _bytes_of(item: Any) -> bytes:
    try:
        return json.dumps(item, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate: escaped it reaches the checks, which reject it
        return json.dumps(item).encode()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_parse = json.JSONDecoder(parse_constant=_refuse_constant).decode
