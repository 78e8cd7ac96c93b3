from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook

from monitor.alert.signing import SignatureError, Signer, new_secret
from monitor.errors import ConfigError

NOW = datetime(2026, 3, 10, 12, 0, 0, 900_000, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
BODY = '{"summary":"利率 ±2 %"}'.encode()


def test_the_signature_is_the_one_of_the_published_example() -> None:
    # The worked example of the specification's reference implementations.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = Signer([secret]).headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_time_in_another_zone_signs_the_same_moment() -> None:
    shanghai = NOW.astimezone(timezone(timedelta(hours=8)))
    signer = Signer([SECRET])
    assert signer.headers("m", NOW, BODY) == signer.headers("m", shanghai, BODY)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Signer([SECRET]).headers("m", NOW.replace(tzinfo=None), BODY)


def test_the_library_of_the_specification_accepts_what_we_sign() -> None:
    now = datetime.now(UTC)
    headers = Signer([SECRET]).headers("m", now, b'{"a":1}')
    assert Webhook(SECRET).verify(b'{"a":1}', headers) == {"a": 1}


def test_a_delivery_is_verified_with_names_of_headers_in_any_case() -> None:
    headers = {k.title(): v for k, v in Signer([SECRET]).headers("m", NOW, BODY).items()}
    assert Signer([SECRET]).verify(headers, BODY, NOW) == "m"


@pytest.mark.parametrize("known", [SECRET, OTHER])
def test_while_secrets_rotate_a_receiver_with_either_accepts(known: str) -> None:
    headers = Signer([OTHER, SECRET]).headers("m", NOW, BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert Signer([known]).verify(headers, BODY, NOW) == "m"


def test_a_receiver_that_rotates_accepts_the_old_secret_too() -> None:
    headers = Signer([SECRET]).headers("m", NOW, BODY)
    assert Signer([OTHER, SECRET]).verify(headers, BODY, NOW) == "m"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"webhook-id": "n"}, "no signature matches"),
        ({"webhook-timestamp": str(int(NOW.timestamp()) + 1)}, "no signature matches"),
        ({"webhook-timestamp": str(int(NOW.timestamp()) - 301)}, "away from"),
        ({"webhook-timestamp": str(int(NOW.timestamp()) + 302)}, "away from"),
        ({"webhook-timestamp": "nan"}, "not a number"),
        ({"webhook-timestamp": "-1"}, "not a number"),
        ({"webhook-timestamp": "1e9"}, "not a number"),
        ({"webhook-timestamp": "٣"}, "not a number"),
        ({"webhook-timestamp": "9" * 400}, "not a number"),
        ({"webhook-signature": ""}, "no signature matches"),
        ({"webhook-signature": "v1"}, "no signature matches"),
        ({"webhook-signature": "v1,a,b"}, "no signature matches"),
        ({"webhook-signature": "v1,not base64"}, "no signature matches"),
        ({"webhook-signature": "v1,\udcff"}, "no signature matches"),
    ],
)
def test_what_was_tampered_with_is_refused(change: dict[str, str], match: str) -> None:
    headers = {**Signer([SECRET]).headers("m", NOW, BODY), **change}
    with pytest.raises(SignatureError, match=match):
        Signer([SECRET]).verify(headers, BODY, NOW)


def test_a_changed_body_another_secret_and_a_missing_header_are_refused() -> None:
    headers = Signer([SECRET]).headers("m", NOW, BODY)
    with pytest.raises(SignatureError, match="no signature matches"):
        Signer([SECRET]).verify(headers, BODY + b" ", NOW)
    with pytest.raises(SignatureError, match="UTF-8"):
        Signer([SECRET]).verify(headers, b"\xff", NOW)
    with pytest.raises(SignatureError, match="no signature matches"):
        Signer([OTHER]).verify(headers, BODY, NOW)
    for name in headers:
        with pytest.raises(SignatureError, match=f"{name} is missing"):
            Signer([SECRET]).verify({k: v for k, v in headers.items() if k != name}, BODY, NOW)


def test_an_unpadded_secret_is_the_same_secret() -> None:
    headers = Signer([SECRET.rstrip("=")]).headers("m", NOW, BODY)
    assert Signer([SECRET]).verify(headers, BODY, NOW) == "m"


@pytest.mark.parametrize(
    ("secret", "match"),
    [
        ("", "begin with whsec_"),
        ("s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t", "begin with whsec_"),
        ("whsec_", "holds 0 bytes"),
        ("whsec_c2hvcnQ=", "holds 5 bytes"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "holds 65 bytes"),
        ("whsec_s3cr3t s3cr3t s3cr3t s3cr3t s3cr3t", "not base64"),
        ("whsec_sécrét", "not base64"),
    ],
)
def test_a_bad_secret_is_named_by_its_place_and_never_shown(secret: str, match: str) -> None:
    with pytest.raises(ConfigError, match=f"webhook secret 2 .*{match}") as caught:
        Signer([SECRET, secret])
    assert "s3cr3t" not in str(caught.value)


def test_no_secret_at_all_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="at least one secret"):
        Signer([])


def test_a_signer_does_not_show_its_secrets() -> None:
    assert repr(Signer([SECRET, OTHER])) == "Signer(2 secrets)"


def test_a_new_secret_is_valid_and_differs_from_the_last() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert "m" == Signer([first]).verify(Signer([first]).headers("m", NOW, BODY), BODY, NOW)
