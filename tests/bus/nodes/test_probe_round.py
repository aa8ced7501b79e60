"""What is left of a round when it ends: nothing."""

from __future__ import annotations

from dmqcache.bus.nodes.probe_round import Round


class Cancelled:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def test_the_end_of_a_round_ends_what_it_waits_for() -> None:
    round_ = Round(1000.0, 0.2)
    round_.close()
    timer, sendings = Cancelled(), [Cancelled(), Cancelled()]
    round_.timer = timer
    round_.sendings.extend(sendings)
    round_.close()
    assert timer.cancelled and all(sending.cancelled for sending in sendings)
