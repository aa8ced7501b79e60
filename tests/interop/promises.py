"""What is promised beside real Kamailio nodes, and which tests show it: the rows of the README's matrix.

``matrix.py`` makes the matrix of it and of the line-ups with which these tests are collected.
"""

from collections.abc import Mapping
from typing import Final

PROMISES: Final[Mapping[str, tuple[str, ...]]] = {
    "nodes find each other in whatever order they start": ("test_join::test_join_in_every_order",),
    "sets arrive, of any text, bytes and integer, from either kind of node": (
        "test_changes::test_set",
        "test_changes::test_keys",
        "test_changes::test_values_replace_each_other",
        "test_changes::test_a_key_changed_by_turns",
    ),
    "times to live arrive": (
        "test_changes::test_time_to_live",
        "test_changes::test_a_new_value_gets_the_tables_own_time",
    ),
    "deletes arrive": ("test_changes::test_delete",),
    "removals by regular expression and prefix arrive": ("test_changes::test_removal_by_pattern",),
    "`$shtinc` and `$shtdec` arrive": ("test_changes::test_increment",),
    "1,000 `$shtinc` on a Kamailio that calls itself by a name are 1,000": (
        "test_names::test_a_thousand_increments_of_a_named_kamailio_are_a_thousand",
    ),
    "who starts gets all 50,000 cells, and is ready only then": (
        "test_initial_sync::test_complete",
        "test_initial_sync::test_ready_means_complete",
    ),
    "at full speed nothing is missing": (
        "test_full_speed::test_a_kamailio_at_full_speed",
        "test_full_speed::test_a_dmqcache_at_full_speed",
    ),
    "of two writes of a script in one moment the second counts, under loss": (
        "test_lossy_writes::test_the_second_of_two_writes_in_a_moment_counts_though_messages_are_lost",
    ),
    "a partition is healed, under loss": (
        "test_partition::test_all_are_equal_after_a_partition",
        "test_partition::test_it_stays_equal_and_goes_on",
    ),
    "who is killed comes back whole": ("test_restart::test_killed_and_restarted",),
    "a node that leaves says so": ("test_restart::test_graceful_leave",),
    "keys that two nodes write at once are soon the same on all": (
        "test_crossing_writes::test_pairs_do_not_differ",
        "test_crossing_writes::test_pairs_in_a_large_table_do_not_differ",
    ),
    "a late copy of an old message brings nothing back": (
        "test_crossing_writes::test_a_late_duplicate_brings_nothing_back",
    ),
    "values of 1 to 60 kB hold up no small key, over UDP and TCP": (
        "test_sizes::test_small_keys_do_not_wait_for_long_values",
        "test_sizes::test_a_value_that_shrinks_is_told_and_no_longer_shown",
    ),
    "what is too long for a Kamailio is shown": ("test_sizes::test_what_is_kept_back_is_shown",),
    "a bus over TCP": (
        "test_tcp::test_changes",
        "test_tcp::test_many_from_a_kamailio",
        "test_tcp::test_many_from_a_dmqcache",
        "test_tcp::test_a_killed_node_comes_back",
    ),
    "a bus over TLS, certificates required both ways": (
        "test_tls::test_a_bus_over_tls_both_ways",
        "test_tls::test_nodes_of_three_transports_on_one_bus",
        "test_tls::test_who_has_a_certificate_of_another_ca_gets_no_word_in",
    ),
    "a key for the bus": (
        "test_key::test_changes",
        "test_key::test_each_is_what_it_is_and_nothing_is_dropped",
        "test_key::test_a_kamailio_that_starts_anew_is_a_node_again",
        "test_key::test_a_dmqcache_node_that_starts_anew_holds_all_again",
    ),
    "`htable.flush` is left, refilled or followed": (
        "test_removals::test_a_flush_is_left_alone",
        "test_removals::test_a_flush_is_refilled",
        "test_removals::test_a_flush_is_followed",
    ),
    "`htable.reload`, `sht_reset()`, iterators and removals that say nothing are followed": (
        "test_removals::test_a_reload_brings_the_rows_of_the_database_to_all",
        "test_removals::test_what_a_script_removes_without_a_word_is_followed",
        "test_removals::test_what_is_removed_by_the_end_or_a_part_of_its_name_is_followed",
    ),
    "`FLUSHDB` empties all nodes, and nothing that is written later": (
        "test_removals::test_what_is_written_later_is_there_and_what_is_gone_stays_gone",
        "test_removals::test_a_table_is_emptied_on_all_nodes_by_one_flushdb",
    ),
    "a registrar that joins through dmqcache alone gets all contacts": (
        "test_registrars::test_a_registrar_that_joins_through_dmqcache_alone_gets_all_contacts",
    ),
    "200 calls are shown right at each step, and a restarted Kamailio gets its calls back": (
        "test_calls::test_two_hundred_calls_are_right_at_each_step_and_a_restarted_kamailio_gets_them_back",
        "test_calls::test_kamailio_nodes_of_all_releases_that_were_killed_at_once_get_all_calls_back",
    ),
    "a restarted Kamailio gets back what was published, and who watches": (
        "test_calls::test_a_restarted_kamailio_gets_publications_back",
        "test_calls::test_a_restarted_kamailio_knows_again_who_watches",
    ),
    "a Kamailio without the `KDMQ` route is named": ("test_one_way::test_a_kamailio_without_the_route",),
    "one that sends from another address is named, or heard": (
        "test_one_way::test_a_kamailio_that_sends_from_another_of_its_addresses",
    ),
    "one that holds this node inactive is named": ("test_one_way::test_a_kamailio_that_holds_us_inactive",),
    "the simulation's model of a Kamailio answers, holds and tells the same": (
        "test_model::test_the_same_inputs_have_the_same_replies_and_leave_the_same_tables",
        "test_model::test_both_show_all_their_cells_to_a_node_that_asks",
        "test_model::test_what_a_script_does_is_told_alike",
    ),
    "another `notification_channel`": ("test_one_way::test_another_notification_channel",),
}
"""What is promised: tests, as file and function."""
