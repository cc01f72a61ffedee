//! What the process takes of its machine. Known where there is a `/proc`, else not told.

use std::fs;

/// How many of its ticks make a second of the processor; the same on every Linux.
const TICKS: f64 = 100.0;

/// Names, what they mean, their types and values.
pub fn values(started: jiff::Timestamp) -> Vec<(&'static str, &'static str, &'static str, f64)> {
    let started = started.as_millisecond() as f64 / 1e3;
    let mut found = vec![(
        "process_start_time_seconds",
        "gauge",
        "When the process started, in seconds since 1970.",
        started,
    )];
    let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
    if let Some(ticks) = ticks(&stat) {
        let about = "Time of processors, its own and that of the system for it.";
        found.push(("process_cpu_seconds_total", "counter", about, ticks / TICKS));
    }
    for (name, field, about) in [
        ("process_resident_memory_bytes", "VmRSS:", "Memory that it has."),
        ("process_virtual_memory_bytes", "VmSize:", "Addresses that it has."),
    ] {
        found.extend(kilobytes(&status, field).map(|size| (name, "gauge", about, size * 1024.0)));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        found.push(("process_open_fds", "gauge", "Open file descriptors.", open.count() as f64));
    }
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The ticks of `/proc/self/stat`: the 14th and 15th field, counted behind the name, which may hold spaces.
fn ticks(stat: &str) -> Option<f64> {
    let behind = &stat[stat.rfind(')')? + 1..];
    let mut fields = behind.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(next()? + next()?)
}

fn kilobytes(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_are_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(300.0));
        assert_eq!(ticks(""), None);
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12.0));
        assert_eq!(kilobytes("Name:\tx\n", "VmRSS:"), None);
    }
}
