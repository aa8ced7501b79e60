"""Seconds of fuzzing: a fixed seed for each reader, so that a failure is found again."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS

INPUTS = 400


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes_is_read_or_refused(name: str) -> None:
    target, choose = TARGETS[name], random.Random(name)
    for _ in range(INPUTS):
        data = mutated(target.corpus, choose)
        with suppress(*target.refusals):
            target.read(data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_it_starts_from_is_read(name: str) -> None:
    for data in TARGETS[name].corpus:
        TARGETS[name].read(data)


def test_mutations_are_many_and_the_same_for_a_seed() -> None:
    corpus = TARGETS["sip"].corpus
    one, other = random.Random(1), random.Random(1)
    made = [mutated(corpus, one) for _ in range(200)]
    assert made == [mutated(corpus, other) for _ in range(200)]
    assert len(set(made) - set(corpus)) > 190
