//! One container.

use super::volumes::PodVolumes;
use api_types::oam::{OamContainer, OamProbe, OamResources};
use serde_json::{Map, Value, json};

/// Translates a container; what cannot be translated is added to the faults.
pub(super) fn translate(
    field: &str,
    container: &OamContainer,
    volumes: &mut PodVolumes,
    faults: &mut Vec<String>,
) -> Value {
    let mut out = Map::new();
    for (name, value) in [("name", &container.name), ("image", &container.image)] {
        if value.is_empty() {
            faults.push(format!("{field}.{name}: required"));
        }
        out.insert(name.to_owned(), value.as_str().into());
    }
    let command = match (container.command.is_empty(), container.cmd.is_empty()) {
        (false, false) => {
            faults.push(format!("{field}: command and cmd are two names of one field; set one of them"));
            &container.command
        }
        (true, _) => &container.cmd,
        (false, true) => &container.command,
    };
    if !command.is_empty() {
        out.insert("command".to_owned(), command.as_slice().into());
    }
    if !container.args.is_empty() {
        out.insert("args".to_owned(), container.args.as_slice().into());
    }
    let env: Vec<Value> = (container.env.iter().enumerate())
        .map(|(position, variable)| {
            let source = match (&variable.value, &variable.from_secret) {
                (Some(value), None) => return json!({"name": variable.name, "value": value}),
                (None, Some(secret)) => secret,
                _ => {
                    faults.push(format!("{field}.env[{position}]: exactly one of value and fromSecret is required"));
                    return Value::Null;
                }
            };
            json!({"name": variable.name, "valueFrom": {"secretKeyRef": {"name": source.name, "key": source.key}}})
        })
        .collect();
    if !env.is_empty() {
        out.insert("env".to_owned(), env.into());
    }
    let ports: Vec<Value> = (container.ports.iter())
        .map(|port| {
            json!({"name": port.name, "containerPort": port.container_port,
                "protocol": port.protocol.as_deref().unwrap_or("TCP")})
        })
        .collect();
    if !ports.is_empty() {
        out.insert("ports".to_owned(), ports.into());
    }
    if let Some(resources) = &container.resources {
        let amounts = amounts(&format!("{field}.resources"), resources, faults);
        if !amounts.is_empty() {
            out.insert("resources".to_owned(), json!({"requests": amounts, "limits": amounts}));
        }
    }
    let mounts = volumes.mounts(field, container, faults);
    if !mounts.is_empty() {
        out.insert("volumeMounts".to_owned(), mounts.into());
    }
    for (name, said) in
        [("livenessProbe", &container.liveness_probe), ("readinessProbe", &container.readiness_probe)]
    {
        if let Some(said) = said {
            out.insert(name.to_owned(), probe(&format!("{field}.{name}"), said, faults));
        }
    }
    out.into()
}

fn amounts(field: &str, resources: &OamResources, faults: &mut Vec<String>) -> Map<String, Value> {
    let mut amounts = Map::new();
    let named = [
        ("cpu", "cpu", &resources.cpu),
        ("memory", "memory", &resources.memory),
        ("gpu", "nvidia.com/gpu", &resources.gpu),
    ];
    for (name, resource, said) in named {
        if let Some(said) = said {
            amounts.insert(
                resource.to_owned(),
                quantity(&format!("{field}.{name}.required"), &said.required, faults),
            );
        }
    }
    for (position, extended) in resources.extended.iter().enumerate() {
        let field = format!("{field}.extended[{position}]");
        if !extended.name.contains('/') {
            faults.push(format!(
                "{field}.name: {:?} has no domain, as in \"example.com/widget\"",
                extended.name
            ));
        }
        amounts.insert(
            extended.name.clone(),
            quantity(&format!("{field}.required"), &extended.required, faults),
        );
    }
    amounts
}

/// A quantity as text; whether it is one is for the API server to say.
pub(super) fn quantity(field: &str, value: &Value, faults: &mut Vec<String>) -> Value {
    match value {
        Value::String(text) if !text.is_empty() => value.clone(),
        Value::Number(number) => number.to_string().into(),
        _ => {
            faults.push(format!("{field}: a quantity is required"));
            Value::Null
        }
    }
}

fn probe(field: &str, probe: &OamProbe, faults: &mut Vec<String>) -> Value {
    let mut out = Map::new();
    if let Some(exec) = &probe.exec {
        out.insert("exec".to_owned(), json!({"command": exec.command}));
    }
    if let Some(get) = &probe.http_get {
        let mut action = json!({"path": get.path, "port": get.port});
        if !get.http_headers.is_empty() {
            action["httpHeaders"] =
                get.http_headers.iter().map(|h| json!({"name": h.name, "value": h.value})).collect();
        }
        out.insert("httpGet".to_owned(), action);
    }
    if let Some(socket) = &probe.tcp_socket {
        out.insert("tcpSocket".to_owned(), json!({"port": socket.port}));
    }
    if out.len() != 1 {
        faults.push(format!("{field}: exactly one of exec, httpGet and tcpSocket is required"));
    }
    for (name, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("periodSeconds", probe.period_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        if let Some(value) = value {
            out.insert(name.to_owned(), value.into());
        }
    }
    out.into()
}
