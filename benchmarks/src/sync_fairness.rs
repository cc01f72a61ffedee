//! `insula bench sync-fairness`.

use crate::clock::Clock;
use crate::ready::{self, Place};
use crate::report::{Figure, Measure, Report};
use crate::rooms::{Room, Rooms};
use crate::{Progress, at_once, cpu, on_a_prompt_thread};
use clap::Args;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Flags of `insula bench sync-fairness`.
#[derive(Args, Clone, Debug)]
pub struct SyncFairness {
    /// Tenants that make many pods at once
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = crate::positive)]
    greedy: usize,
    /// Pods of each of them
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = crate::positive)]
    greedy_pods: usize,
    /// Creations of each of them under way at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = crate::positive)]
    streams: usize,
    /// Tenants that make a pod now and then
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = crate::positive)]
    regular: usize,
    /// The time from one pod of such a tenant to its next, which comes later when that one is not ready by then
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = crate::seconds)]
    every: Duration,
    /// For how long they are alone
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = crate::seconds)]
    time: Duration,
}

/// Measures regular tenants alone, and then until all pods of greedy ones are ready.
pub async fn run(flags: &SyncFairness, rooms: &mut Rooms, progress: &dyn Progress) -> anyhow::Result<Report> {
    let mut all = rooms.open(flags.regular + flags.greedy, progress).await?;
    let greedy = all.split_off(flags.regular);
    let places: Vec<Arc<Place>> = Place::open_all(&greedy).await?.into_iter().map(Arc::new).collect();
    progress.step("a first pod in each greedy tenant");
    at_once(greedy.len(), &places, |place| place.run("first")).await?;

    let seconds = flags.time.as_secs_f64();
    progress.step(&format!("{} regular tenants alone for {seconds} s", flags.regular));
    let (begun, over) = (CancellationToken::new(), CancellationToken::new());
    let alone = regulars(all.clone(), "alone", flags.every, (begun.clone(), over.clone()));
    let alone = tokio::spawn(alone);
    begun.cancelled().await;
    tokio::time::sleep(flags.time).await;
    over.cancel();
    let alone = alone.await??;

    let count = (flags.greedy * flags.greedy_pods) as u64;
    progress.step(&format!("beside {} greedy ones with {count} pods", flags.greedy));
    let before = rooms.taken().await;
    let (begun, over) = (CancellationToken::new(), CancellationToken::new());
    let beside = tokio::spawn(regulars(all, "beside", flags.every, (begun.clone(), over.clone())));
    begun.cancelled().await;
    let at_a_time = flags.streams * flags.greedy;
    let burst = ready::burst(&places, count, at_a_time, crate::objects::name, progress).await?;
    over.cancel();
    let beside = beside.await??;
    let cpu = cpu(before, rooms.taken().await);
    let ratio = beside.times.mean() / alone.times.mean().max(1.0);
    let figures = vec![Figure::new("mean beside / mean alone", ratio, "times")];
    let requests = vec![
        alone.row("regular tenants alone: created, and Ready", None),
        beside.row("regular tenants beside: created, and Ready", None),
        burst.ready.row("greedy tenants: created, and Ready", cpu),
    ];
    Ok(rooms.report("sync-fairness", flags.regular + flags.greedy, requests, figures))
}

/// All regular tenants at once, from when it is told to have begun until it is over.
async fn regulars(
    rooms: Vec<Room>,
    what: &'static str,
    every: Duration,
    (tell, over): (CancellationToken, CancellationToken),
) -> anyhow::Result<Measure> {
    on_a_prompt_thread(async move || {
        // It begins also when it cannot: whoever waits for that hears why.
        let tell = tell.drop_guard();
        let places = Place::open_all(&rooms).await?;
        // What a namespace needs once is not measured.
        at_once(places.len(), &places, |place| async move { place.run(&format!("{what}-first")).await })
            .await?;
        drop(tell);
        let clock = Clock::start();
        let over = &over;
        let numbered: Vec<(usize, &Place)> = places.iter().enumerate().collect();
        let measured = at_once(places.len(), &numbered, |(number, place)| {
            // Not all in one moment.
            let first = every.mul_f64(*number as f64 / numbered.len() as f64);
            async move { Ok(paced(place, what, first, every, over).await) }
        })
        .await?;
        let mut all = Measure::default();
        measured.into_iter().for_each(|measure| all.join(measure));
        all.elapsed = clock.elapsed();
        Ok(all)
    })
    .await
}

/// One tenant: its next pod when the last one is ready and the time is there.
async fn paced(
    place: &Place,
    what: &str,
    first: Duration,
    every: Duration,
    over: &CancellationToken,
) -> Measure {
    let (mut measure, mut due, mut number) = (Measure::default(), tokio::time::Instant::now() + first, 0);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = over.cancelled() => return measure,
        }
        due = tokio::time::Instant::now() + every;
        match place.run(&format!("{what}-{number}")).await {
            Ok(time) => measure.add(time, 0),
            Err(error) => measure.fail(format!("{error:#}")),
        }
        number += 1;
    }
}
