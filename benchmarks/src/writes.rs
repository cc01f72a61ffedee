//! `insula bench writes`.

use crate::load::{self, Make, Until};
use crate::objects::{Kind, name};
use crate::plane::Call;
use crate::report::Report;
use crate::rooms::Rooms;
use crate::{Concurrency, Progress, cpu, one_room};
use clap::Args;
use http::Method;
use serde_json::json;
use std::sync::Arc;

/// Flags of `insula bench writes`.
#[derive(Args, Clone, Debug)]
pub struct Writes {
    /// What is written
    #[arg(long, value_enum, default_value_t = Kind::ConfigMap)]
    kind: Kind,
    /// How many objects
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = crate::positive)]
    objects: usize,
    /// Bytes of the value of each ConfigMap or Secret
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    size: usize,
    #[command(flatten)]
    concurrency: Concurrency,
}

/// Creates the objects, changes a label of each, and deletes them.
pub async fn run(flags: &Writes, rooms: &mut Rooms, progress: &dyn Progress) -> anyhow::Result<Report> {
    let room = one_room(rooms, progress).await?;
    let (kind, size) = (flags.kind, flags.size);
    let all = room.path(kind.resource());
    let (to_create, to_change, to_delete) = (all.clone(), all.clone(), all);
    let create: Make =
        Arc::new(move |n| Call::with(Method::POST, to_create.clone(), &kind.object(&name(n), size)));
    let change: Make = Arc::new(move |n| Call {
        content_type: "application/merge-patch+json",
        ..Call::with(
            Method::PATCH,
            format!("{to_change}/{}", name(n)),
            &json!({"metadata": {"labels": {"changed": "yes"}}}),
        )
    });
    let delete: Make =
        Arc::new(move |n| Call::new(Method::DELETE, format!("{to_delete}/{}?gracePeriodSeconds=0", name(n))));
    let mut requests = Vec::new();
    for (verb, make) in [("create", create), ("patch", change), ("delete", delete)] {
        let what = format!("{verb} {}", kind.shown());
        progress.step(&format!("{what}: {} of them", flags.objects));
        let before = rooms.taken().await;
        let until = Until::Requests(flags.objects as u64);
        let measure =
            load::run(&room.plane, flags.concurrency.shape(), until, make, (progress, &what)).await?;
        requests.push(measure.row(&what, cpu(before, rooms.taken().await)));
    }
    Ok(rooms.report("writes", 1, requests, Vec::new()))
}
