//! `insula bench pods`.

use crate::clock::Clock;
use crate::ready::{self, Place};
use crate::report::{Figure, Measure, Report};
use crate::rooms::{Rooms, Sort};
use crate::stages::Counted;
use crate::{Progress, at_once, cpu};
use clap::Args;
use std::sync::Arc;

/// How many tenants get their first pod at a time.
const FIRST_AT_A_TIME: usize = 16;

/// Flags of `insula bench pods`.
#[derive(Args, Clone, Debug)]
pub struct Pods {
    /// Tenants (or namespaces) that the pods are spread over
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = crate::positive)]
    tenants: usize,
    /// Pods in total
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = crate::positive)]
    pods: usize,
    /// Creations under way at a time, over one connection for each tenant
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = crate::positive)]
    streams: usize,
    /// Pods that are made before that, each when the one before is ready
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = crate::positive)]
    singles: usize,
    /// Make the same pods straight on the super cluster, in namespaces: the embedded one of an Insula, or the server of the
    /// kubeconfig
    #[arg(long)]
    pub direct: bool,
}

/// Makes pods one by one, and then many at once, each watched until it is ready.
pub async fn run(flags: &Pods, rooms: &mut Rooms, progress: &dyn Progress) -> anyhow::Result<Report> {
    let all = rooms.open(flags.tenants, progress).await?;
    let places: Vec<Arc<Place>> = Place::open_all(&all).await?.into_iter().map(Arc::new).collect();
    let teller = rooms.teller.clone();
    progress.step("a first pod in each");
    let start = Counted::by(&teller).await;
    at_once(FIRST_AT_A_TIME, &places, |place| place.run("first")).await?;

    progress.step(&format!("{} pods one by one", flags.singles));
    let counted = Counted::with(&teller, &start, places.len() as u64).await;
    let (mut single, clock) = (Measure::default(), Clock::start());
    for number in 0..flags.singles {
        match places[number % places.len()].run(&format!("single-{number}")).await {
            Ok(time) => single.add(time, 0),
            Err(error) => single.fail(format!("{error:#}")),
        }
        progress.at(&format!("one by one: {} of {}", number + 1, flags.singles));
    }
    single.elapsed = clock.elapsed();
    let rested = Counted::with(&teller, &counted, single.times.len()).await;

    progress.step(&format!("{} pods, {} creations at a time", flags.pods, flags.streams));
    let before = rooms.taken().await;
    let burst =
        ready::burst(&places, flags.pods as u64, flags.streams, crate::objects::name, progress).await?;
    let after = rooms.taken().await;
    let done = Counted::with(&teller, &rested, burst.ready.times.len()).await;
    let resident = after.zip(before).map(|(after, before)| after.resident_bytes - before.resident_bytes);
    let figures = resident
        .map(|grown| Figure::new("resident for each pod, whole server", grown / flags.pods as f64, "bytes"));
    let requests = vec![
        single.row("one by one: created, and Ready", None),
        burst.created.row("create a Pod", None),
        burst.ready.row("created, and Ready", cpu(before, after)),
    ];
    let mut report = rooms.report("pods", flags.tenants, requests, figures.into_iter().collect());
    if rooms.sort == Sort::Tenants {
        report.stages_of("one by one", rested.since(&counted, single.times.mean() / 1000.0));
        report.stages_of("many at once", done.since(&rested, burst.ready.times.mean() / 1000.0));
    }
    Ok(report)
}
