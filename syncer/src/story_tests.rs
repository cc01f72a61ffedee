//! Whole stories: the syncer against fake planes, one of which plays the super cluster.

pub(crate) mod harness;

mod faults;

mod tenant_stories;

mod race_stories;

mod fault_stories;

mod two_clusters_stories;

mod scheduler_stories;

mod refusal_stories;

mod patrol_stories;

mod pod_stories;

mod address_stories;

mod service_stories;

mod mirror_stories;

mod isolation_stories;

mod policy_stories;

mod tunnel_stories;

mod usage_stories;

mod view_stories;
