//! One suite for every engine: what [`object_store::ObjectStore`] promises.
//!
//! Each promise is a function of a fixture; each engine runs all of them. The etcd engine runs against a real
//! `etcd` with its fsync on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[cfg(feature = "etcd")]
#[path = "conformance/claims.rs"]
mod claims;
#[path = "conformance/copies.rs"]
mod copies;
#[path = "conformance/engines.rs"]
mod engines;
#[cfg(feature = "etcd")]
#[path = "conformance/outage.rs"]
mod outage;
#[path = "conformance/promises.rs"]
mod promises;
#[path = "conformance/watching.rs"]
mod watching;

macro_rules! suite {
    ($($module:ident::$promise:ident,)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                crate::$module::$promise(&crate::engines::Embedded::new()).await;
            })*
        }

        mod sealed {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                crate::$module::$promise(&crate::engines::Sealed::new()).await;
            })*
        }

        #[cfg(feature = "etcd")]
        mod etcd {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                crate::$module::$promise(&crate::engines::Etcd::start().await).await;
            })*
        }
    };
}

suite! {
    promises::preconditions_decide,
    promises::operations_of_a_commit_share_a_revision,
    promises::malformed_commits_are_refused,
    promises::what_changes_nothing_makes_no_revision,
    promises::values_of_every_size_come_back,
    promises::a_range_is_of_one_revision,
    promises::a_range_of_the_past_shows_the_past,
    promises::ranges_select_by_prefix_and_page,
    promises::tenants_are_apart,
    promises::deleting_a_space_leaves_the_others,
    promises::compacted_history_is_refused,
    promises::revisions_never_go_back,
    promises::compare_and_swap_loses_no_update,
    copies::revisions_go_on_after_a_floor,
    copies::shrinking_loses_nothing,
    copies::a_copy_comes_back_as_of_one_revision,
    copies::a_copy_goes_into_an_empty_store_only,
    watching::a_watch_shows_what_follows,
    watching::a_watch_of_the_past_goes_live_without_gap_or_repetition,
    watching::a_watch_that_lags_ends_and_goes_on,
    watching::every_watcher_sees_everything,
}
