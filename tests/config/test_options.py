"""The table of options: each is whole, and what is made from it follows."""

from __future__ import annotations

import re

import pytest

from dmqcache.config.config import load
from dmqcache.config.options import BY_NAME, OPTIONS, Option


def test_an_option_has_one_name_in_three_spellings() -> None:
    option = Option("probe_interval", "seconds", "1", "How often.")
    assert (option.flag, option.variable) == ("--probe-interval", "DMQCACHE_PROBE_INTERVAL")
    assert option.attribute == "probe_interval"
    assert Option("peer", "word", "", "A peer.", field="peers").attribute == "peers"


def test_the_help_says_unit_choices_default_and_whether_it_repeats() -> None:
    assert Option("a", "seconds", "1", "How often.", unit="seconds").full_help == (
        "How often. (unit: seconds; default: 1)"
    )
    assert Option("a", "choice", "x", "Which.", choices=("x", "y")).full_help == (
        "Which. (one of: x, y; default: x)"
    )
    assert Option("a", "word", "", "Whom.", repeat=True).full_help == (
        "Whom. (default: none; may be repeated)"
    )


def test_names_are_unique_and_plain() -> None:
    assert len(BY_NAME) == len(OPTIONS)
    assert len({option.attribute for option in OPTIONS}) == len(OPTIONS)
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", option.name) for option in OPTIONS)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_says_what_it_is_in_sentences_and_a_number_has_its_unit(option: Option) -> None:
    assert option.help[0].isupper() and option.help.endswith(".")
    if option.kind == "seconds":
        assert option.unit == "seconds"
        assert option.minimum is not None
    assert (option.kind == "choice") == bool(option.choices)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_the_default_is_a_value_that_one_could_give(option: Option) -> None:
    """Whoever writes a default down gets what they had without it."""
    if option.default:
        given = load(flags={option.name: option.default})
        assert getattr(given, option.attribute) == getattr(load(), option.attribute)


@pytest.mark.parametrize(
    "option", [one for one in OPTIONS if one.minimum is not None], ids=lambda option: option.name
)
def test_the_least_is_taken_and_less_is_not(option: Option) -> None:
    assert option.minimum is not None
    least = option.minimum
    node = "sip:10.0.0.13:5060=" if option.kind == "node_bytes" else ""
    if option.name == "t2":
        load(flags={"t2": str(least), "t1": str(least)})
    else:
        load(flags={option.name: f"{node}{least:g}"})
    with pytest.raises(ValueError, match="is less than the least"):
        load(flags={option.name: f"{node}{least - 1:g}"})
