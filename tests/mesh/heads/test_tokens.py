"""Join tokens: read back as made, refused in words that help, never echoing the secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.heads.tokens import (
    RANDOMNESS_BYTES,
    Token,
    TokenRefused,
    hash_secret,
    make_token,
    parse_token,
    secret_matches,
)

PIN = "0123456789abcdef" * 4
HEX = "00112233445566778899aabbccddeeff"
BASE32 = "abcdefghijklmnopqrstuvwxyz"
WHOLE = f"M1.t1.{HEX}.{PIN}"


@pytest.mark.parametrize("secret", [HEX, BASE32, HEX * 4])
def test_a_token_is_read_back_as_it_was_made(secret: str) -> None:
    token = Token("t1", secret, PIN)
    assert parse_token(token.format()) == token


def test_a_token_from_random_bytes_has_160_bits_of_secret() -> None:
    token = make_token(bytes(range(RANDOMNESS_BYTES)), PIN)
    assert (len(token.id), len(token.secret)) == (8, 32)
    assert parse_token(token.format()) == token
    assert make_token(bytes(RANDOMNESS_BYTES), PIN) != token


def test_too_few_random_bytes_make_no_token() -> None:
    with pytest.raises(ValueError, match="25 random bytes"):
        make_token(bytes(24), PIN)


def test_spaces_around_a_pasted_token_do_no_harm() -> None:
    assert parse_token(f"  {WHOLE}\r\n") == Token("t1", HEX, PIN)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "no token: a token begins with M1", id="nothing"),
        pytest.param("hello", "meshctl token create", id="a word"),
        pytest.param(HEX, "begins with M1", id="the secret alone"),
        pytest.param(WHOLE.removeprefix("M1."), "begins with M1", id="without its version"),
        pytest.param(WHOLE.replace("M1", "M2"), "version M2; this program", id="a later version"),
        pytest.param("M1", "truncated", id="the version alone"),
        pytest.param(WHOLE[:20], "truncated", id="cut in the secret"),
        pytest.param(WHOLE[:-1], "truncated", id="cut by one character"),
        pytest.param(WHOLE[:-64], "truncated", id="cut before the pin"),
        pytest.param(WHOLE + ".x", "5 parts", id="something behind"),
        pytest.param(WHOLE + "0", "pin has 64", id="a pin that is too long"),
        pytest.param(f"M1.t1.{HEX}.{PIN.upper()}", "pin has 64", id="a pin in capitals"),
        pytest.param(f"M1.t1.{HEX[:-2]}.{PIN}", "at least 128 bits", id="a short secret in hex"),
        pytest.param(f"M1.t1.{BASE32[:-1]}.{PIN}", "128 bits", id="a short secret in base32"),
        pytest.param(f"M1.t1.{HEX[:-1]}!.{PIN}", "128 bits", id="a secret of other characters"),
        pytest.param(f"M1.t 1.{HEX}.{PIN}", "token's id", id="a space in the id"),
        pytest.param(f"M1.{'t' * 33}.{HEX}.{PIN}", "token's id", id="a long id"),
        pytest.param(WHOLE * 100, "characters", id="a hundred tokens"),
    ],
)
def test_what_is_no_usable_token_is_refused_in_words_that_help(text: str, says: str) -> None:
    with pytest.raises(TokenRefused, match=says) as refused:
        parse_token(text)
    assert HEX[:8] not in str(refused.value)
    assert BASE32[:8] not in str(refused.value)


def test_no_representation_shows_the_secret() -> None:
    token = Token("t1", HEX, PIN)
    assert HEX not in repr(token)
    assert HEX not in str(token)


def test_only_the_secret_matches_its_hash() -> None:
    kept = hash_secret(HEX)
    assert secret_matches(kept, HEX)
    assert not secret_matches(kept, HEX[:-1] + "0")
    assert not secret_matches(kept, "")
    assert not secret_matches(kept, HEX * 100_000)
    assert not secret_matches(b"", HEX)
    assert not secret_matches(kept, "\ud800")
    assert HEX.encode() not in kept


def test_a_long_secret_matches_only_whole() -> None:
    kept = hash_secret("a" * 128)
    assert secret_matches(kept, "a" * 128)
    assert not secret_matches(kept, "a" * 129)


@given(st.text(max_size=300))
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        token = parse_token("M1." + text)
    except TokenRefused:
        return
    assert token.format() == ("M1." + text).strip()
