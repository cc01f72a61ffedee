//! `insula bench tenants`.

use crate::clock::Clock;
use crate::plane::{Call, Connection, is_missing};
use crate::report::{Figure, Measure, Report};
use crate::rooms::Rooms;
use crate::{Progress, cpu};
use clap::Args;
use futures::StreamExt;
use futures::stream;
use http::Method;
use std::time::{Duration, Instant};

/// Flags of `insula bench tenants`.
#[derive(Args, Clone, Debug)]
pub struct Tenants {
    /// How many tenants
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = crate::positive)]
    tenants: usize,
    /// How many are made, and deleted, at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = crate::positive)]
    concurrency: usize,
    /// How long the server has, before its memory is looked at
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = crate::seconds)]
    settle: Duration,
}

/// What was measured of one tenant.
struct Made {
    /// Until the server had it.
    created: Duration,
    /// Until its kubeconfig answered.
    answered: Duration,
}

/// Makes tenants as everybody does, with their controllers, asks each one as its admin, and deletes them.
pub async fn run(flags: &Tenants, rooms: &mut Rooms, progress: &dyn Progress) -> anyhow::Result<Report> {
    let before = rooms.taken().await;
    progress.step(&format!("making {} tenants", flags.tenants));
    let calls: Vec<(String, Call)> = (0..flags.tenants).map(|number| rooms.name_tenant(number)).collect();
    let names: Vec<String> = calls.iter().map(|(name, _)| name.clone()).collect();
    // As who provisions tenants: over a connection that stays open.
    let host = rooms.host.connect().await?;
    let (clock, this, host) = (Clock::start(), &*rooms, &host);
    let mut making = stream::iter(calls)
        .map(|(name, call)| async move { make(this, &name, call, host.clone()).await })
        .buffer_unordered(flags.concurrency);
    let (mut created, mut answered) = (Measure::default(), Measure::default());
    while let Some(made) = making.next().await {
        match made {
            Ok(made) => {
                created.add(made.created, 0);
                answered.add(made.answered, 0);
                progress.at(&format!("tenants: {} of {}", created.times.len(), flags.tenants));
            }
            Err(error) => created.fail(format!("{error:#}")),
        }
    }
    drop(making);
    (created.elapsed, answered.elapsed) = (clock.elapsed(), clock.elapsed());
    let made = rooms.taken().await;
    progress.step(&format!("waiting {} s", flags.settle.as_secs_f64()));
    tokio::time::sleep(flags.settle).await;
    let rest = rooms.taken().await;

    progress.step(&format!("deleting {} tenants", names.len()));
    let deleted = delete(rooms, &names, flags.concurrency, progress).await?;
    rooms.forget();
    let gone = rooms.taken().await;
    tokio::time::sleep(flags.settle).await;
    let quiet = rooms.taken().await;
    let requests = vec![
        created.row("create a tenant", None),
        answered.row("created, and its kubeconfig answers", cpu(before, made)),
        deleted.row("delete a tenant, until it is gone", cpu(rest, gone)),
    ];
    let mut figures = Vec::new();
    if let (Some(before), Some(rest), Some(quiet)) = (before, rest, quiet) {
        let each = (rest.resident_bytes - before.resident_bytes) / flags.tenants as f64;
        figures = vec![
            Figure::new("resident before", before.resident_bytes, "bytes"),
            Figure::new("resident with the tenants", rest.resident_bytes, "bytes"),
            Figure::new("resident for each tenant", each, "bytes"),
            Figure::new("resident after their deletion", quiet.resident_bytes, "bytes"),
        ];
    }
    Ok(rooms.report("tenants", flags.tenants, requests, figures))
}

async fn make(rooms: &Rooms, name: &str, call: Call, mut host: Connection) -> anyhow::Result<Made> {
    let begun = Instant::now();
    host.ask(call).await?;
    let created = begun.elapsed();
    let plane = rooms.wait_for_tenant(name, &mut host).await?;
    let path = "/api/v1/namespaces/default".to_owned();
    plane.connect().await?.ask(Call::new(Method::GET, path)).await?;
    Ok(Made { created, answered: begun.elapsed() })
}

/// Deletes tenants, each until there is nothing of it.
async fn delete(
    rooms: &Rooms,
    names: &[String],
    concurrency: usize,
    progress: &dyn Progress,
) -> anyhow::Result<Measure> {
    let host = rooms.host.connect().await?;
    let (clock, host) = (Clock::start(), &host);
    let mut deleting = stream::iter(names)
        .map(|name| async move {
            let (begun, mut connection) = (Instant::now(), host.clone());
            let path = Rooms::tenant_path(name);
            connection.ask(Call::new(Method::DELETE, path.clone())).await?;
            loop {
                match connection.ask(Call::new(Method::GET, path.clone())).await {
                    Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    Err(error) if is_missing(&error) => return Ok(begun.elapsed()),
                    Err(error) => return Err(error),
                }
            }
        })
        .buffer_unordered(concurrency);
    let mut measure = Measure::default();
    while let Some(done) = deleting.next().await {
        match done {
            Ok(time) => measure.add(time, 0),
            Err(error) if is_missing(&error) => {}
            Err(error) => measure.fail(format!("{error:#}")),
        }
        progress.at(&format!("deleted: {} of {}", measure.times.len(), names.len()));
    }
    measure.elapsed = clock.elapsed();
    Ok(measure)
}
