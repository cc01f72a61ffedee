//! `insula bench …`: runs a benchmark, shows how far it is, and prints what it found.

use crate::cli::{Bench, Server};
use crate::output::{self, Format};
use crate::progress::Progress;
use crate::{client, kubeconfigs};
use anyhow::Context;
use benchmarks::{Figure, Report, Row, Stage};

/// `insula bench`.
pub async fn run(flags: Bench) -> anyhow::Result<()> {
    let path = Server { kubeconfig: flags.kubeconfig }.path();
    let shown = path.display();
    client::is_there(&path)?;
    let kubeconfig =
        kubeconfigs::read(&path).with_context(|| format!("the kubeconfig {shown} cannot be read"))?;
    let progress = Progress::new(flags.output != Format::Table);
    let (report, removed) =
        benchmarks::run(flags.benchmark, kubeconfig, flags.with_controllers, &progress).await?;
    progress.done();
    match flags.output {
        Format::Table => show(&report),
        format => output::value(&serde_json::to_value(&report)?, format)?,
    }
    for row in &report.requests {
        for (why, count) in &row.failed {
            output::error(&format!("{count} of \"{}\" failed: {why}", row.what));
        }
    }
    removed.context("not all that was made is removed")
}

impl benchmarks::Progress for Progress {
    fn step(&self, text: &str) {
        Progress::step(self, text);
    }

    fn at(&self, text: &str) {
        Progress::at(self, text);
    }
}

const HEADINGS: &[&str] = &[
    "REQUEST",
    "COUNT",
    "FAILED",
    "SECONDS",
    "PER SECOND",
    "MEAN",
    "P50",
    "P90",
    "P99",
    "MAX",
    "SERVER CPU",
    "STOLEN",
];

const STAGES: &[&str] = &["STAGE", "PODS", "MEAN", "P50", "P99"];

fn show(report: &Report) {
    output::line(&format!("{} {}, {}", report.server, report.version, report.place));
    output::line("");
    output::table(HEADINGS, report.requests.iter().map(cells).collect());
    for part in &report.stages {
        output::line("");
        output::line(&format!("Where the time went, {}:", part.what));
        output::table(STAGES, part.stages.iter().map(stage).collect());
    }
    if !report.figures.is_empty() {
        output::line("");
        for figure in &report.figures {
            output::line(&shown(figure));
        }
    }
}

fn milliseconds(value: f64) -> String {
    format!("{value:.1} ms")
}

fn stage(stage: &Stage) -> Vec<String> {
    let known = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), milliseconds);
    vec![
        stage.stage.clone(),
        stage.pods.map_or_else(|| "-".to_owned(), |pods| pods.to_string()),
        milliseconds(stage.mean_milliseconds),
        known(stage.p50_milliseconds),
        known(stage.p99_milliseconds),
    ]
}

fn cells(row: &Row) -> Vec<String> {
    vec![
        row.what.clone(),
        row.requests.to_string(),
        row.failed.values().sum::<u64>().to_string(),
        format!("{:.1}", row.seconds),
        format!("{:.0}", row.per_second),
        milliseconds(row.mean_milliseconds),
        milliseconds(row.p50_milliseconds),
        milliseconds(row.p90_milliseconds),
        milliseconds(row.p99_milliseconds),
        milliseconds(row.max_milliseconds),
        row.server_cpu_microseconds.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.0} µs")),
        row.stolen_percent.map_or_else(|| "-".to_owned(), |share| format!("{share:.0} %")),
    ]
}

fn shown(figure: &Figure) -> String {
    match figure.unit {
        "bytes" if figure.value.abs() < 1024.0 * 1024.0 => {
            format!("{}: {:.1} KiB", figure.what, figure.value / 1024.0)
        }
        "bytes" => format!("{}: {:.1} MiB", figure.what, figure.value / 1024.0 / 1024.0),
        "times" => format!("{}: {:.2}", figure.what, figure.value),
        unit => format!("{}: {:.0} {unit}", figure.what, figure.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_their_units() {
        let shown = |value, unit| shown(&Figure::new("it", value, unit));
        assert_eq!(shown(2048.0, "bytes"), "it: 2.0 KiB");
        assert_eq!(shown(5.0 * 1024.0 * 1024.0, "bytes"), "it: 5.0 MiB");
        assert_eq!(shown(1.234, "times"), "it: 1.23");
        assert_eq!(shown(3.0, "events"), "it: 3 events");
    }
}
