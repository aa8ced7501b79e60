"""Complaints about strangers are few."""

from __future__ import annotations

from dmqcache.bus.net.log_limit import GAP, MAX_HOSTS, LogLimit, News


def test_each_host_is_complained_of_once_a_minute() -> None:
    seldom = LogLimit()
    assert seldom.may("127.0.0.1", 0.0) and not seldom.may("127.0.0.1", GAP - 1)
    assert seldom.may("127.0.0.2", 1.0)
    assert seldom.may("127.0.0.1", GAP) and not seldom.may("127.0.0.1", GAP + 1)


def test_hosts_are_remembered_within_bounds() -> None:
    seldom = LogLimit()
    for number in range(10_000):
        assert seldom.may(str(number), 0.0)
    assert len(seldom._said) == MAX_HOSTS and not seldom.may("9999", 1.0) and seldom.may("0", 1.0)


def test_what_lasts_is_said_once_until_it_is_over_or_changes() -> None:
    news = News()
    assert news.is_news("127.0.0.1", "expired", 0.0)
    assert not any(news.is_news("127.0.0.1", "expired", GAP * number) for number in range(100))
    assert news.is_news("127.0.0.1", "unknown CA", 100 * GAP)
    assert not news.is_news("127.0.0.1", "expired", 100 * GAP + 1), "twice within a minute"
    news.over("127.0.0.1")
    news.over("127.0.0.2")
    assert news.is_news("127.0.0.1", "unknown CA", 102 * GAP)
