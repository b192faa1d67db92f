//! Scenarios: whole months over simulated nodes, as text in and recorded text out. Each plan is checked against the rules
//! that hold of all, and everything that outlives a moment is written down and read back each time, as if the server had
//! been restarted at every step.

#![expect(clippy::unwrap_used, reason = "a script that cannot be played has to fail")]

mod world;

use self::world::World;

macro_rules! scenarios {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let script = include_str!(concat!("scenarios/", stringify!($name), ".txt"));
            let told = World::default().play(script);
            insta::with_settings!({ snapshot_path => "scenarios", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), told);
            });
        }
    )*};
}

scenarios! {
    errors_none_borne
    errors_three_borne
    errors_a_tenth_of_fifty
    undelivered_is_no_error
    concurrency_of_patch_now
    first_node_only
    ramp
    clocks_forward_in_berlin
    clocks_back_in_berlin
    clocks_change_in_new_york
    clocks_change_in_lord_howe
    window_across_midnight
    window_missed
    window_missed_and_caught_up
    windows_that_overlap
    window_cut_off
    window_tasks_by_priority
    nothing_begins_that_would_not_end
    rings_pass_on_evidence
    ring_fails_its_gate
    halt_and_resume
    skip_a_ring
    pause_and_stop
    withdrawn_in_mid_rollout
    reboot_lock_of_a_dead_node
    reboot_group_counts_all
    two_policies_on_one_node
    freeze_during_a_run
    emergency_through_a_freeze
    approval_of_a_second_person
    later_ring_by_its_owner
    spread_over_a_window
    month_of_a_thousand_nodes
    patch_tuesday_and_days
    silent_node_comes_back
}
