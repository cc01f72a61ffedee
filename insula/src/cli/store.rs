//! The flags of `insula store …`, and of where a store is.

use super::{Common, Server};
use crate::store;
use crate::store_address::StoreAddress;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `insula store …`.
#[derive(Subcommand)]
pub enum Store {
    /// Show how large the store is
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Read everything in the store of the running server, and say what is wrong
    Check {
        #[command(flatten)]
        common: Common,
    },
    /// Forget history, and give the space of it back: lists and watches that go on in the past begin again
    Compact {
        #[command(flatten)]
        common: Common,
    },
    /// Make a copy of everything at one revision, while the server runs. What is sealed stays sealed
    Backup(Backup),
    /// Put a copy into a store that holds nothing yet
    Restore(Restore),
    /// Put what is in one store into another one, which holds nothing yet. No server may run on either
    Migrate {
        /// The store to read: a data directory, or URLs of etcd with commas between them
        #[arg(long, value_name = "STORE")]
        from: StoreAddress,
        /// The store to fill
        #[arg(long, value_name = "STORE")]
        to: StoreAddress,
        #[command(flatten)]
        etcd: Etcd,
    },
}

/// Flags of `insula store backup`.
#[derive(Args, Clone, Debug)]
pub struct Backup {
    /// The file to make, - for standard output; or s3://BUCKET/KEY
    pub file: PathBuf,
    /// Copy this store, on which no server runs: a data directory, or URLs of etcd [default: that of the running server]
    #[arg(long, value_name = "STORE", conflicts_with = "kubeconfig")]
    pub from: Option<StoreAddress>,
    #[command(flatten)]
    pub etcd: Etcd,
    #[command(flatten)]
    pub server: Server,
}

/// Flags of `insula store restore`.
#[derive(Args, Clone, Debug)]
pub struct Restore {
    /// The copy, - for standard input; or s3://BUCKET/KEY
    pub file: PathBuf,
    /// The store to fill: a data directory, or URLs of etcd with commas between them
    #[arg(long, value_name = "STORE")]
    pub to: StoreAddress,
    #[command(flatten)]
    pub etcd: Etcd,
}

/// How etcd is reached, named as kube-apiserver names it.
#[derive(Args, Clone, Debug)]
pub struct Etcd {
    /// What all keys in etcd begin with
    #[arg(long, value_name = "PREFIX", default_value = "/insula")]
    pub etcd_prefix: String,
    /// The CA of etcd's certificates, for https
    #[arg(long, value_name = "FILE")]
    pub etcd_cafile: Option<PathBuf>,
    /// The client certificate to show etcd
    #[arg(long, value_name = "FILE", requires = "etcd_keyfile")]
    pub etcd_certfile: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "etcd_certfile")]
    pub etcd_keyfile: Option<PathBuf>,
}

/// Runs one of them.
pub async fn run(command: Store) -> anyhow::Result<()> {
    match command {
        Store::Status { common } => store::status(&common).await,
        Store::Check { common } => store::check(&common).await,
        Store::Compact { common } => store::compact(&common).await,
        Store::Backup(flags) => store::backup(&flags).await,
        Store::Restore(flags) => store::restore(&flags).await,
        Store::Migrate { from, to, etcd } => store::migrate(&from, &to, &etcd).await,
    }
}
