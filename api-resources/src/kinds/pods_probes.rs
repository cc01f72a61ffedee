//! The rules of probes and lifecycle handlers.

use super::place::{Causes, Place, not_negative, require};
use super::services_validation::port_or_name;
use crate::names;
use api_types::Cause;
use serde_json::Value;

const MORE_THAN_ONE: &str = "may not specify more than 1 handler type";

/// The signals of Linux but the counted real-time ones.
const LINUX_SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMIN",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

/// The rules of a container's probes.
pub(super) fn probes(out: &mut Causes, container: &Place<'_>) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.present(name) else { continue };
        handler(out, &probe, None);
        let numbers = [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ];
        numbers.iter().for_each(|field| not_negative(out, &probe, field));
        let grace = "terminationGracePeriodSeconds";
        if let Some(seconds) = probe.int(grace) {
            if seconds <= 0 {
                out.push(Cause::invalid(probe.of(grace), &Value::from(seconds), "must be greater than 0"));
            }
            if name == "readinessProbe" {
                let message = "must not be set for readinessProbes";
                out.push(Cause::invalid(probe.of(grace), &Value::from(seconds), message));
            }
        }
        let successes = probe.int("successThreshold").unwrap_or(0);
        if name != "readinessProbe" && successes != 1 {
            out.push(Cause::invalid(probe.of("successThreshold"), &Value::from(successes), "must be 1"));
        }
    }
}

/// The rules of a container's lifecycle; `grace` is the pod's termination grace period in seconds, `os` its
/// `spec.os.name`.
pub(super) fn lifecycle(out: &mut Causes, container: &Place<'_>, grace: Option<i64>, os: &str) {
    let Some(lifecycle) = container.present("lifecycle") else { return };
    for name in ["postStart", "preStop"] {
        if let Some(at) = lifecycle.present(name) {
            handler(out, &at, grace);
        }
    }
    if let Some(signal) = lifecycle.present("stopSignal") {
        match os {
            "" => out.push(Cause::forbidden(
                signal.path,
                "may not be set for containers with empty `spec.os.name`",
            )),
            "windows" => {
                super::place::one_of(out, &lifecycle, "stopSignal", &["SIGKILL", "SIGTERM"]);
            }
            _ if !is_linux_signal(signal.as_text()) => {
                out.push(Cause::not_supported(signal.path, signal.value, LINUX_SIGNALS));
            }
            _ => {}
        }
    }
}

/// One of the named signals, or a real-time one counted from either end.
fn is_linux_signal(name: &str) -> bool {
    let real_time = |prefix: &str, most: u8| {
        let count = name.strip_prefix(prefix).filter(|digits| !digits.starts_with('0'));
        count.and_then(|digits| digits.parse::<u8>().ok()).is_some_and(|n| (1..=most).contains(&n))
    };
    LINUX_SIGNALS.contains(&name) || real_time("SIGRTMIN+", 15) || real_time("SIGRTMAX-", 14)
}

/// Exactly one of exec, httpGet, tcpSocket, grpc and sleep.
fn handler(out: &mut Causes, at: &Place<'_>, grace: Option<i64>) {
    let mut found = false;
    for name in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(action) = at.present(name) else { continue };
        if found {
            out.push(Cause::forbidden(action.path, MORE_THAN_ONE));
            continue;
        }
        found = true;
        match name {
            "exec" => {
                require(out, &action, "command");
            }
            "httpGet" => http_get(out, &action),
            "sleep" => {
                let seconds = action.int("seconds").unwrap_or(0);
                if let Some(grace) = grace.filter(|g| seconds < 0 || seconds > *g) {
                    out.push(Cause::invalid(
                        action.path,
                        &Value::from(seconds),
                        &format!(
                            "must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                        ),
                    ));
                }
            }
            _ => port_or_name(out, &action.field("port")),
        }
    }
    if !found {
        out.push(Cause::required(&at.path, "must specify a handler type"));
    }
}

fn http_get(out: &mut Causes, at: &Place<'_>) {
    require(out, at, "path");
    port_or_name(out, &at.field("port"));
    super::place::one_of(out, at, "scheme", &["HTTP", "HTTPS"]);
    for header in at.list("httpHeaders") {
        let name = header.text("name");
        for message in names::http_header(name) {
            out.push(Cause::invalid(at.of("httpHeaders"), &Value::from(name), &message));
        }
    }
}
