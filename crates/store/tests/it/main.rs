//! Conformance: every behaviour of the store, on SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, reason = "tests")]

mod conformance;

/// Makes each behaviour a test on both databases.
macro_rules! on_both_databases {
    ($($behaviour:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $behaviour() {
                let folder = testkit::folder();
                let path = folder.path().join("fettle.db");
                let database = store::Database::open_sqlite(&path, 0).await.unwrap();
                crate::conformance::$behaviour(database).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $behaviour() {
                let server = testkit::postgres::Postgres::start();
                let database = store::Database::open_postgres(&server.url(), 0).await.unwrap();
                crate::conformance::$behaviour(database.clone()).await;
                database.close().await;
            })*
        }
    };
}

on_both_databases! {
    a_node_reads_back_and_is_replaced
    states_of_many_nodes_are_written_at_once_and_replaced
    tags_of_one_source_leave_those_of_others
    contents_read_back_through_their_edits
    a_report_is_found_by_the_day_it_was_collected
    check_ins_are_kept_until_they_are_folded
    the_last_report_of_a_node_counts_before_its_state_is_written
    verdicts_are_found_by_node_and_minute
    versions_read_back_in_the_order_of_their_numbers
    an_activation_lets_in_no_more_nodes_than_its_limit
    the_organization_reads_back
    events_and_filters_are_listed_and_forgotten
    an_import_counts_all_at_once
    baselines_keep_their_versions_and_what_they_are_for
    work_and_receipts_read_back
    a_cancel_ends_what_waits_and_reaches_what_goes_on_once
    a_node_takes_a_part_of_a_rollout_only_when_it_was_released
    a_course_is_written_by_one_of_those_who_read_it
    documents_keep_their_versions_and_clocks_their_times
    a_lease_has_one_holder_and_locks_expire
    the_same_news_go_to_a_channel_once
    two_claims_never_take_the_same_invocation
    an_idempotency_key_belongs_to_one_operation
    secrets_end_and_expire
    the_audit_chain_holds_under_concurrent_writers
    nothing_of_a_dropped_transaction_stays
    opening_again_changes_nothing
    data_of_a_newer_release_is_refused
}

#[tokio::test]
async fn both_databases_have_the_same_columns() {
    let folder = testkit::folder();
    let path = folder.path().join("fettle.db");
    let sqlite = store::Database::open_sqlite(&path, 0).await.unwrap();
    let server = testkit::postgres::Postgres::start();
    let postgres = store::Database::open_postgres(&server.url(), 0).await.unwrap();
    let columns = store::conformance::columns(&sqlite).await.unwrap();
    assert!(columns.len() > 80, "every table is compared");
    assert_eq!(columns, store::conformance::columns(&postgres).await.unwrap());
    postgres.close().await;
}

/// What two processes do to one file: each reads before it writes, so a write lock that is taken
/// late would find that the other one wrote in between.
#[tokio::test]
async fn two_processes_that_read_before_they_write_do_not_meet() {
    let folder = testkit::folder();
    let path = folder.path().join("fettle.db");
    let first = store::Database::open_sqlite(&path, 0).await.unwrap();
    let second = store::Database::open_sqlite(&path, 0).await.unwrap();
    conformance::the_audit_chain_holds_for_two(&first, &second).await;
}
