//! `insula bench reads`.

use crate::load::{self, Make, Until};
use crate::objects::{Kind, name};
use crate::plane::Call;
use crate::report::Report;
use crate::rooms::{Room, Rooms};
use crate::{Concurrency, Progress, cpu, one_room};
use anyhow::bail;
use clap::Args;
use http::Method;
use std::sync::Arc;

/// Flags of `insula bench reads`.
#[derive(Args, Clone, Debug)]
pub struct Reads {
    /// What is read
    #[arg(long, value_enum, default_value_t = Kind::Pod)]
    kind: Kind,
    /// How many objects there are
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = crate::positive)]
    objects: usize,
    /// How many requests
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = crate::positive)]
    requests: usize,
    /// Bytes of the value of each ConfigMap or Secret
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    size: usize,
    #[command(flatten)]
    concurrency: Concurrency,
}

/// Makes the objects, and gets one after the other.
pub async fn run(flags: &Reads, rooms: &mut Rooms, progress: &dyn Progress) -> anyhow::Result<Report> {
    let room = one_room(rooms, progress).await?;
    fill(&room, flags.kind, flags.objects, flags.size, progress).await?;
    let (all, objects) = (room.path(flags.kind.resource()), flags.objects as u64);
    let get: Make = Arc::new(move |n| Call::new(Method::GET, format!("{all}/{}", name(n % objects))));
    let what = format!("get {}", flags.kind.shown());
    progress.step(&format!("{what}: {} times", flags.requests));
    let before = rooms.taken().await;
    let until = Until::Requests(flags.requests as u64);
    let measure = load::run(&room.plane, flags.concurrency.shape(), until, get, (progress, &what)).await?;
    let row = measure.row(&what, cpu(before, rooms.taken().await));
    Ok(rooms.report("reads", 1, vec![row], Vec::new()))
}

/// Makes objects that are then read. All of them have to be there.
pub async fn fill(
    room: &Room,
    kind: Kind,
    objects: usize,
    size: usize,
    progress: &dyn Progress,
) -> anyhow::Result<()> {
    let all = room.path(kind.resource());
    let create: Make = Arc::new(move |n| Call::with(Method::POST, all.clone(), &kind.object(&name(n), size)));
    let what = format!("create {}", kind.shown());
    progress.step(&format!("{what}: {objects} of them"));
    let shape = load::Shape { connections: 4, streams: 16 };
    let until = Until::Requests(objects as u64);
    let made = load::run(&room.plane, shape, until, create, (progress, &what)).await?;
    if let Some((why, count)) = made.failed.first_key_value() {
        bail!("{count} of {objects} objects cannot be created: {why}");
    }
    Ok(())
}
