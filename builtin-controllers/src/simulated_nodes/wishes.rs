//! What the annotations of a simulated pod ask for.

use super::durations;
use super::usage;
use api_types::labels::{SIM_EXIT_CODE, SIM_READY_AFTER, SIM_RUN_FOR, SIM_START_AFTER, SIM_STOP_AFTER};
use serde_json::Value;
use std::time::Duration;

/// The label of a job's pods. Owners do not go down to super clusters; labels do.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// A job's pod is to end, and does so by itself.
const JOB_RUNS_FOR: Duration = Duration::from_secs(1);
/// A container that uses more memory than it may is ended so soon.
const OUT_OF_MEMORY_AFTER: Duration = Duration::from_secs(1);
/// What a process says that was killed: 128 and SIGKILL.
pub(super) const KILLED: i32 = 137;

/// How a container ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) after: Duration,
    pub(super) exit_code: i32,
    /// Killed for its use of memory.
    pub(super) out_of_memory: bool,
}

impl Ending {
    /// Of a container that uses more memory than its limit.
    pub(super) const OUT_OF_MEMORY: Ending =
        Ending { after: OUT_OF_MEMORY_AFTER, exit_code: KILLED, out_of_memory: true };

    /// As the state of the container says it.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Ending { out_of_memory: true, .. } => "OOMKilled",
            Ending { exit_code: 0, .. } => "Completed",
            Ending { .. } => "Error",
        }
    }
}

/// When a container that runs is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// When it has run for so long.
    After(Duration),
    Never,
}

/// All that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wishes {
    /// How long it takes to make the containers.
    pub(super) start_after: Duration,
    pub(super) ready: Readiness,
    /// How long the containers take to end when they are told to.
    pub(super) stop_after: Duration,
    /// `None`: they run on.
    pub(super) ending: Option<Ending>,
}

impl Wishes {
    /// Nothing is asked for.
    pub(super) const NONE: Wishes = Wishes {
        start_after: Duration::ZERO,
        ready: Readiness::After(Duration::ZERO),
        stop_after: Duration::ZERO,
        ending: None,
    };

    /// Reads the annotations. Only an exit code: at once, or a job's pod after a second. What cannot be read is told, not
    /// guessed.
    pub(super) fn of(pod: &Value) -> Result<Wishes, String> {
        let start_after = duration(pod, SIM_START_AFTER)?.unwrap_or_default();
        let stop_after = duration(pod, SIM_STOP_AFTER)?.unwrap_or_default();
        let ready = match annotation(pod, SIM_READY_AFTER) {
            Some("never") => Readiness::Never,
            _ => Readiness::After(duration(pod, SIM_READY_AFTER)?.unwrap_or_default()),
        };
        usage::check(pod)?;
        Ok(Wishes { start_after, ready, stop_after, ending: ending(pod)? })
    }
}

/// True for a pod of a job.
pub(super) fn is_of_job(pod: &Value) -> bool {
    pod["metadata"]["labels"][JOB_NAME].is_string()
}

fn annotation<'a>(pod: &'a Value, key: &str) -> Option<&'a str> {
    pod["metadata"]["annotations"][key].as_str()
}

fn duration(pod: &Value, key: &str) -> Result<Option<Duration>, String> {
    let Some(text) = annotation(pod, key) else { return Ok(None) };
    let or_never = if key == SIM_READY_AFTER { ", or never" } else { "" };
    let wrong = || format!("annotation {key}: {text:?} is not a duration such as 5s{or_never}");
    durations::parse(text).ok_or_else(wrong).map(Some)
}

fn ending(pod: &Value) -> Result<Option<Ending>, String> {
    let run_for = duration(pod, SIM_RUN_FOR)?;
    let exit_code = annotation(pod, SIM_EXIT_CODE).map(|text| {
        let code = text.parse::<i32>().ok().filter(|code| (0..=255).contains(code));
        code.ok_or_else(|| format!("annotation {SIM_EXIT_CODE}: {text:?} is not a number from 0 to 255"))
    });
    let exit_code = exit_code.transpose()?;
    let of_job = is_of_job(pod) && pod["spec"]["restartPolicy"] != "Always";
    if run_for.is_none() && exit_code.is_none() && !of_job {
        return Ok(None);
    }
    let default = if of_job { JOB_RUNS_FOR } else { Duration::ZERO };
    Ok(Some(Ending {
        after: run_for.unwrap_or(default),
        exit_code: exit_code.unwrap_or(0),
        out_of_memory: false,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(annotations: Value) -> Result<Wishes, String> {
        Wishes::of(&json!({"metadata": {"annotations": annotations}, "spec": {"restartPolicy": "Always"}}))
    }

    #[test]
    fn annotations_are_read() {
        let seconds = Duration::from_secs;
        assert_eq!(read(json!({})), Ok(Wishes::NONE));
        let all = read(json!({SIM_START_AFTER: "10s", SIM_READY_AFTER: "1m", SIM_STOP_AFTER: "3s",
            SIM_RUN_FOR: "2s", SIM_EXIT_CODE: "4"}));
        let ending = Some(Ending { after: seconds(2), exit_code: 4, out_of_memory: false });
        let ready = Readiness::After(seconds(60));
        let wishes = Wishes { start_after: seconds(10), ready, stop_after: seconds(3), ending };
        assert_eq!(all, Ok(wishes));
        assert_eq!(read(json!({SIM_READY_AFTER: "never"})).unwrap().ready, Readiness::Never);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (annotations, why) in [
            (json!({SIM_RUN_FOR: "soon"}), "sim.insula.dev/run-for: \"soon\" is not a duration such as 5s"),
            (json!({SIM_START_AFTER: "never"}), "start-after: \"never\" is not a duration such as 5s"),
            (json!({SIM_READY_AFTER: "x"}), "ready-after: \"x\" is not a duration such as 5s, or never"),
            (json!({SIM_EXIT_CODE: "300"}), "exit-code: \"300\" is not a number from 0 to 255"),
            (
                json!({"sim.insula.dev/cpu-usage": "much"}),
                "cpu-usage: \"much\" is neither an amount such as 250m nor a share such as 80%",
            ),
        ] {
            let told = read(annotations).unwrap_err();
            assert!(told.starts_with("annotation sim.insula.dev/") && told.ends_with(why), "{told}");
        }
    }
}
