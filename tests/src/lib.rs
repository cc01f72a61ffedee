//! Whole-system tests: the binary, real kubectl and Helm, a real PostgreSQL and etcd, moto for S3.

pub mod dice;
pub mod etcd;
pub mod etcd_cluster;
pub mod forgetful;
pub mod helm;
pub mod insula;
pub mod kubectl;
pub mod linearizable;
pub mod moto;
pub mod pages;
pub mod postgres;
pub mod small_disk;
pub mod super_account;
pub mod tools;
pub mod waiting;

pub use etcd::Etcd;
pub use etcd_cluster::EtcdCluster;
pub use forgetful::Forgetful;
pub use helm::Helm;
pub use insula::Insula;
pub use kubectl::{Kubectl, Running};
pub use moto::Moto;
pub use postgres::Postgres;
pub use waiting::until;
