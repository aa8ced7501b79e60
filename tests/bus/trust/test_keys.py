"""Key files: what is a key, what is said of what is none, and that no text ever shows one."""

from __future__ import annotations

import pytest

from dmqcache.bus.trust.keys import KEY_BYTES, MAX_KEYS, Key, KeyFileError, KeyRing, read_keys, write_key

ONE = bytes(range(KEY_BYTES))
TWO = bytes(reversed(range(KEY_BYTES)))


def test_what_is_written_is_read() -> None:
    ring = read_keys(f"# of the site\n{write_key(ONE)}\n\n {write_key(TWO)}  # the next one\n")
    assert ring == KeyRing((Key(ONE), Key(TWO)))
    assert ring.signing == Key(ONE)


def test_a_key_is_found_by_its_name() -> None:
    ring = KeyRing((Key(ONE), Key(TWO)))
    assert ring.find(Key(TWO).name) == Key(TWO)
    assert ring.find("00000000") is None
    assert Key(ONE).name != Key(TWO).name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no key in it"),
        ("# nothing\n", "no key in it"),
        ("hunter2\n", "line 1 is no key"),
        (write_key(ONE)[:-5], "not whole"),
        (write_key(ONE) + "!", "not whole"),
        (write_key(ONE)[:-2] + "ü=", "not whole"),
        (f"{write_key(ONE)}\n{write_key(ONE)}", "twice"),
        ("\n".join(write_key(bytes([n]) * KEY_BYTES) for n in range(MAX_KEYS + 1)), "the most"),
    ],
)
def test_what_is_no_key_file_is_told_what_to_do_without_showing_it(text: str, says: str) -> None:
    with pytest.raises(KeyFileError, match=says) as caught:
        read_keys(text)
    assert "hunter2" not in str(caught.value)
    assert write_key(ONE)[20:40] not in str(caught.value)


def test_a_key_is_not_shown_by_accident() -> None:
    ring = KeyRing((Key(ONE),))
    assert repr(ONE)[2:10] not in repr(ring)
    assert "secret" not in repr(ring)


def test_only_whole_keys_are_written() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 5"):
        write_key(b"short")
