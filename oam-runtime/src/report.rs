//! An application's status from what became of its components. Pure.

use crate::applications::told;
use crate::plan::PlannedComponent;
use crate::problem::{Cause, Problem};
use crate::status::carry_over;
use api_types::condition::Condition;
use api_types::oam::{ApplicationConfigurationStatus, WorkloadStatus};
use jiff::Timestamp;

/// What became of one component.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentReport {
    /// Its name; empty for what is about the application as a whole.
    pub name: String,
    /// Everything of it is written.
    pub synced: bool,
    /// Why it is not written, or does not work yet.
    pub problem: Option<(Cause, String)>,
    /// What is there of it.
    pub workloads: Vec<WorkloadStatus>,
}

impl ComponentReport {
    /// A component that was written; `unwell` says what does not work yet.
    pub fn written(component: &PlannedComponent, workload: WorkloadStatus, unwell: Option<Problem>) -> Self {
        ComponentReport {
            name: component.name.clone(),
            synced: true,
            problem: unwell.map(|problem| (problem.cause, problem.message)),
            workloads: vec![workload],
        }
    }

    /// A component that was not written.
    pub fn failed(component: &PlannedComponent, problems: &[Problem]) -> Self {
        ComponentReport {
            name: component.name.clone(),
            synced: false,
            problem: Some(told(problems)),
            workloads: Vec::new(),
        }
    }

    /// The application as a whole could not be looked at.
    pub fn of_all(problem: Problem) -> Self {
        let problem = Some((problem.cause, problem.message));
        ComponentReport { name: String::new(), synced: false, problem, workloads: Vec::new() }
    }

    /// Something that is no longer rendered could not be removed.
    pub fn of_removal(problem: Problem) -> Self {
        Self::of_all(Problem::new(
            problem.cause,
            format!("removing what is no longer rendered: {}", problem.message),
        ))
    }

    /// True when it is written and works.
    pub fn is_ready(&self) -> bool {
        self.synced && self.problem.is_none()
    }
}

/// The status. When the application as a whole could not be looked at, what is there of it stays as it was.
pub fn report(
    generation: i64,
    old: &ApplicationConfigurationStatus,
    reports: &[ComponentReport],
    now: Timestamp,
) -> ApplicationConfigurationStatus {
    let unsynced: Vec<&ComponentReport> = reports.iter().filter(|r| !r.synced).collect();
    let unready: Vec<&ComponentReport> = reports.iter().filter(|r| !r.is_ready()).collect();
    let mut conditions = vec![
        overall("Ready", "Ready", "every component is written and works", &unready, now),
        overall("Synced", "Applied", "every component is written", &unsynced, now),
    ];
    for report in reports.iter().filter(|r| !r.name.is_empty()) {
        let kind = format!("{}/Ready", report.name);
        let (reason, message) = match &report.problem {
            None => ("Ready".to_owned(), String::new()),
            Some((cause, message)) => (cause.to_string(), message.clone()),
        };
        let condition = Condition::new(&kind, report.is_ready(), &reason, message, now);
        // A component that is listed twice is ready when both are: the first defect stays.
        match conditions.iter_mut().find(|c| c.kind == kind) {
            Some(known) if known.holds() => *known = condition,
            Some(_) => {}
            None => conditions.push(condition),
        }
    }
    let conditions = conditions.into_iter().map(|c| c.observed(generation)).collect();
    let whole = reports.iter().any(|r| r.name.is_empty()) && reports.len() == 1;
    let mut workloads: Vec<WorkloadStatus> = Vec::new();
    for workload in reports.iter().flat_map(|r| &r.workloads) {
        if !workloads.iter().any(|w| w.workload_ref == workload.workload_ref) {
            workloads.push(workload.clone());
        }
    }
    ApplicationConfigurationStatus {
        observed_generation: Some(generation),
        conditions: carry_over(&old.conditions, conditions),
        workloads: if whole { old.workloads.clone() } else { workloads },
    }
}

fn overall(kind: &str, good: &str, message: &str, defects: &[&ComponentReport], now: Timestamp) -> Condition {
    let Some((cause, _)) = defects.first().and_then(|r| r.problem.as_ref()) else {
        return Condition::new(kind, true, good, message, now);
    };
    let told: Vec<String> = defects
        .iter()
        .filter_map(|r| {
            let (_, message) = r.problem.as_ref()?;
            Some(if r.name.is_empty() { message.clone() } else { format!("{}: {message}", r.name) })
        })
        .collect();
    Condition::new(kind, false, &cause.to_string(), told.join("; "), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::condition::find;

    fn component(name: &str, problem: Option<Cause>, synced: bool) -> ComponentReport {
        ComponentReport {
            name: name.to_owned(),
            synced,
            problem: problem.map(|cause| (cause, "why".to_owned())),
            workloads: vec![WorkloadStatus {
                component_name: name.to_owned(),
                workload_ref: api_types::oam::TypedReference { name: name.to_owned(), ..Default::default() },
                ..Default::default()
            }],
        }
    }

    #[test]
    fn each_component_has_its_condition_and_the_whole_has_two() {
        let reports = [
            component("db", None, true),
            component("web", Some(Cause::WaitingForSecret), false),
            component("job", Some(Cause::WorkloadNotReady), true),
        ];
        let status = report(4, &ApplicationConfigurationStatus::default(), &reports, Timestamp::UNIX_EPOCH);
        let of = |kind: &str| find(&status.conditions, kind).map(|c| (c.holds(), c.reason.clone())).unwrap();
        assert_eq!(of("Ready"), (false, "WaitingForSecret".to_owned()));
        assert_eq!(of("Synced"), (false, "WaitingForSecret".to_owned()));
        assert_eq!(of("db/Ready"), (true, "Ready".to_owned()));
        assert_eq!(of("job/Ready"), (false, "WorkloadNotReady".to_owned()));
        assert_eq!(find(&status.conditions, "Ready").unwrap().message, "web: why; job: why");
        assert_eq!(status.workloads.len(), 3);
        assert!(status.conditions.iter().all(|c| c.observed_generation == Some(4)));

        let later = report(5, &status, &reports[..1], Timestamp::from_second(9).unwrap());
        assert!(find(&later.conditions, "web/Ready").is_none());
        assert_eq!(find(&later.conditions, "db/Ready").unwrap().last_transition_time, "1970-01-01T00:00:00Z");
        assert_eq!(find(&later.conditions, "Ready").unwrap().last_transition_time, "1970-01-01T00:00:09Z");
    }

    #[test]
    fn an_application_that_cannot_be_looked_at_keeps_its_workloads() {
        let old = report(
            1,
            &ApplicationConfigurationStatus::default(),
            &[component("db", None, true)],
            Timestamp::UNIX_EPOCH,
        );
        let whole = [ComponentReport::of_all(Problem::new(Cause::AuthorUnknown, "who"))];
        let status = report(2, &old, &whole, Timestamp::UNIX_EPOCH);
        assert_eq!(status.workloads, old.workloads);
        assert_eq!(find(&status.conditions, "Synced").unwrap().reason, "AuthorUnknown");
    }
}
