//! `insula bench fairness`.

use crate::clock::{Clock, Elapsed};
use crate::load::{self, Make, Shape, Until};
use crate::objects::{Kind, name};
use crate::pace;
use crate::plane::{Call, Plane};
use crate::reads::fill;
use crate::report::{Figure, Measure, Report};
use crate::rooms::{Room, Rooms};
use crate::{Progress, at_once, cpu, on_a_prompt_thread, on_a_thread};
use clap::{Args, ValueEnum};
use http::Method;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Objects of each tenant.
const OBJECTS: u64 = 200;

/// How much lower the greedy tenant's threads stand with the system's scheduler, as `nice` counts.
const PRIORITY: i32 = 5;

/// Flags of `insula bench fairness`.
#[derive(Args, Clone, Debug)]
pub struct Fairness {
    /// What the greedy tenant asks for
    #[arg(long, value_enum, default_value_t = Greed::Mixed)]
    greed: Greed,
    /// Tenants that ask for little
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = crate::positive)]
    tenants: usize,
    /// Requests a second of each of them
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = crate::positive)]
    pace: usize,
    /// TLS connections of the greedy tenant
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = crate::positive)]
    connections: usize,
    /// Requests under way at a time on each of its connections
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = crate::positive)]
    streams: usize,
    /// For how long the others are alone, and then beside it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = crate::seconds)]
    time: Duration,
}

/// What a greedy tenant asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Greed {
    /// As the others: an object, and a change of one, in turns
    Mixed,
    /// Lists of all its objects
    Lists,
}

/// Measures regular tenants alone, and then beside a greedy one.
pub async fn run(flags: &Fairness, rooms: &mut Rooms, progress: &dyn Progress) -> anyhow::Result<Report> {
    let mut all = rooms.open(flags.tenants + 1, progress).await?;
    for room in &all {
        fill(room, Kind::ConfigMap, OBJECTS as usize, 256, progress).await?;
    }
    let greedy = all.remove(0);
    let seconds = flags.time.as_secs_f64();
    progress.step(&format!("{} tenants alone for {seconds} s", flags.tenants));
    let alone = regulars(&all, flags, "alone").await?;

    progress.step(&format!("beside a greedy one for {seconds} s"));
    let shape = Shape { connections: flags.connections, streams: flags.streams };
    let make = match flags.greed {
        Greed::Mixed => mixed(greedy.path("configmaps"), "greedy"),
        Greed::Lists => {
            let all = greedy.path("configmaps");
            Arc::new(move |_| Call::new(Method::GET, all.clone())) as Make
        }
    };
    let before = rooms.taken().await;
    let (beside, taken) = tokio::try_join!(
        regulars(&all, flags, "beside"),
        greedy_load(greedy.plane.clone(), shape, flags.time, make),
    )?;
    let cpu = cpu(before, rooms.taken().await);
    let figures = vec![
        times_as_long("p99 beside / p99 alone", &alone.both(), &beside.both()),
        times_as_long("the same of reads", &alone.reads, &beside.reads),
        times_as_long("the same of changes", &alone.changes, &beside.changes),
    ];
    let requests = vec![
        alone.both().row("regular tenants alone", None),
        alone.reads.row("- their reads", None),
        alone.changes.row("- their changes", None),
        beside.both().row("regular tenants beside it", None),
        beside.reads.row("- their reads", None),
        beside.changes.row("- their changes", None),
        taken.row("the greedy tenant", cpu),
    ];
    Ok(rooms.report("fairness", flags.tenants + 1, requests, figures))
}

/// How many times as long the slowest of a hundred took.
fn times_as_long(what: &'static str, alone: &Measure, beside: &Measure) -> Figure {
    let p99 = |measure: &Measure| measure.times.value_at_quantile(0.99) as f64;
    Figure::new(what, p99(beside) / p99(alone).max(1.0), "times")
}

/// What regular tenants saw.
#[derive(Default)]
struct Seen {
    reads: Measure,
    changes: Measure,
}

impl Seen {
    fn both(&self) -> Measure {
        let mut both = self.reads.clone();
        both.join(self.changes.clone());
        both
    }
}

/// An object, and a change of one, in turns. Each change is one: no two loads give an object the same label.
fn mixed(all: String, load: &'static str) -> Make {
    Arc::new(move |number| {
        let path = format!("{all}/{}", name(number / 2 % OBJECTS));
        if number % 2 == 0 {
            return Call::new(Method::GET, path);
        }
        let change = json!({"metadata": {"labels": {"changed": format!("{load}-{number}")}}});
        Call { content_type: "application/merge-patch+json", ..Call::with(Method::PATCH, path, &change) }
    })
}

/// The load of the greedy tenant, on threads of low priority: on a machine that also runs the server, those who ask much
/// take no processor from whom they ask, as if they were elsewhere.
async fn greedy_load(plane: Arc<Plane>, shape: Shape, time: Duration, make: Make) -> anyhow::Result<Measure> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // Where it cannot be lowered, it is as it was.
    runtime.enable_all().on_thread_start(|| {
        let _ = rustix::process::nice(PRIORITY);
    });
    on_a_thread(runtime, async move || load::run(&plane, shape, Until::Time(time), make, (&Silent, "")).await)
        .await
}

/// All regular tenants at once, each at its pace.
async fn regulars(rooms: &[Room], flags: &Fairness, load: &'static str) -> anyhow::Result<Seen> {
    let (rooms, flags, time) = (rooms.to_vec(), flags.clone(), flags.time);
    on_a_prompt_thread(async move || {
        let (clock, mut all) = (Clock::start(), Seen::default());
        for seen in at_once(rooms.len(), &rooms, |room| paced(room, &flags, load)).await? {
            all.reads.join(seen.reads);
            all.changes.join(seen.changes);
        }
        let elapsed = Elapsed { time, ..clock.elapsed() };
        (all.reads.elapsed, all.changes.elapsed) = (elapsed, elapsed);
        Ok(all)
    })
    .await
}

/// One tenant: a request at each tick. A time begins when its request should have been sent.
async fn paced(room: &Room, flags: &Fairness, load: &'static str) -> anyhow::Result<Seen> {
    let (mut connection, make) = (room.plane.connect().await?, mixed(room.path("configmaps"), load));
    let every = Duration::from_secs(1) / u32::try_from(flags.pace)?;
    let count = flags.time.as_nanos() / every.as_nanos().max(1);
    let mut moments = pace::moments(every, u32::try_from(count)?)?;
    let (mut seen, mut number) = (Seen::default(), 0);
    while let Some(due) = moments.recv().await {
        let measure = if number % 2 == 0 { &mut seen.reads } else { &mut seen.changes };
        match connection.measure(make(number)).await? {
            answer if answer.refusal.is_none() => measure.add(due.elapsed(), answer.bytes),
            answer => measure.fail(answer.refusal.unwrap_or_default()),
        }
        number += 1;
    }
    Ok(seen)
}

/// Nobody hears it.
struct Silent;

impl Progress for Silent {
    fn step(&self, _: &str) {}
    fn at(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// The loads of a room come one after the other: what a change sets, no other change of the object may have set.
    #[test]
    fn changes_change_something() {
        let requests = 10 * OBJECTS;
        let (mut changes, mut set) = (0, HashSet::new());
        for load in ["alone", "beside"] {
            let make = mixed("/configmaps".to_owned(), load);
            for call in (0..requests).map(|number| make(number)).filter(|call| call.method == Method::PATCH) {
                changes += 1;
                assert!(set.insert((call.path, call.body)), "a change of {load} changes nothing");
            }
        }
        assert_eq!(changes, requests);
    }
}
