//! `insula bench list`.

use crate::clock::Clock;
use crate::load::{self, Make, Shape, Until};
use crate::objects::Kind;
use crate::plane::Call;
use crate::reads::fill;
use crate::report::{Figure, Measure, Report};
use crate::rooms::{Room, Rooms};
use crate::{Progress, cpu, one_room};
use clap::Args;
use http::Method;
use std::sync::Arc;
use std::time::Instant;

/// Flags of `insula bench list`.
#[derive(Args, Clone, Debug)]
pub struct Lists {
    /// How many pods there are
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = crate::positive)]
    objects: usize,
    /// How many times they are listed
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = crate::positive)]
    requests: usize,
    /// Pods of a page
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = crate::positive)]
    limit: usize,
    /// Lists under way, each on its own TLS connection
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = crate::positive)]
    connections: usize,
}

/// Makes pods, and lists all of them: at once, and by pages one after the other.
pub async fn run(flags: &Lists, rooms: &mut Rooms, progress: &dyn Progress) -> anyhow::Result<Report> {
    let room = one_room(rooms, progress).await?;
    fill(&room, Kind::Pod, flags.objects, 0, progress).await?;
    let filled = rooms.taken().await;
    let pods = room.path("pods");
    let list: Make = Arc::new(move |_| Call::new(Method::GET, pods.clone()));
    let what = format!("list {} pods", flags.objects);
    progress.step(&format!("{what}: {} times", flags.requests));
    let shape = Shape { connections: flags.connections, streams: 1 };
    let until = Until::Requests(flags.requests as u64);
    let measure = load::run(&room.plane, shape, until, list, (progress, &what)).await?;
    let after = rooms.taken().await;
    let mut figures =
        vec![Figure::new("a list", measure.bytes as f64 / measure.times.len().max(1) as f64, "bytes")];
    let mut requests = vec![measure.row(&what, cpu(filled, after))];

    progress.step(&format!("the same by pages of {}", flags.limit));
    let paged = pages(&room, flags.limit, progress).await?;
    requests.push(paged.row(&format!("a page of {}", flags.limit), cpu(after, rooms.taken().await)));
    if let (Some(filled), Some(after)) = (filled, rooms.taken().await) {
        figures.push(Figure::new("resident before lists", filled.resident_bytes, "bytes"));
        figures.push(Figure::new("resident after lists", after.resident_bytes, "bytes"));
    }
    Ok(rooms.report("list", 1, requests, figures))
}

/// All pods once, a page after the other.
async fn pages(room: &Room, limit: usize, progress: &dyn Progress) -> anyhow::Result<Measure> {
    let mut connection = room.plane.connect().await?;
    let (clock, mut measure) = (Clock::start(), Measure::default());
    let (mut token, mut seen) = (String::new(), 0);
    loop {
        let path = format!("{}?limit={limit}&continue={token}", room.path("pods"));
        let asked = Instant::now();
        let page = connection.text(Call::new(Method::GET, path)).await?;
        measure.add(asked.elapsed(), page.len() as u64);
        let page: serde_json::Value = serde_json::from_str(&page)?;
        seen += page["items"].as_array().map_or(0, Vec::len);
        progress.at(&format!("pods so far: {seen}"));
        match page["metadata"]["continue"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut token),
            _ => break,
        }
    }
    measure.elapsed = clock.elapsed();
    Ok(measure)
}
