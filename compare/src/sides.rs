//! Asks both sides the same.

use crate::difference::{Class, Difference, responses};
use crate::exchange::{self, Exchange, Request, Response};
use crate::intended::Intended;
use crate::learned::Learned;
use crate::live::Live;
use crate::report::Compared;
use crate::requests;
use crate::volatile::Volatile;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// One of the two that are compared.
pub enum Side {
    /// Answers of before.
    Recording(Vec<Exchange>),
    /// A server that answers now.
    Live(Live),
}

impl Side {
    /// A file that ends with `.jsonl` is a recording, any other a kubeconfig.
    pub async fn open(path: &Path, user_agent: &str) -> Result<Self> {
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            return exchange::read(path).map(Side::Recording);
        }
        Live::connect(path, user_agent).await.map(Side::Live)
    }
}

type Answer = Result<Response, String>;

/// Asks both and compares: two servers by the tool's own list, a recording by its own requests.
pub async fn compare(left: &Side, right: &Side, namespace: &str) -> Result<Vec<Compared>> {
    let volatile = Volatile::new()?;
    let intended = Intended::read()?;
    let one = |name: &str, request: &Request, left: &Answer, right: &Answer| {
        let mut compared = Compared {
            name: name.to_owned(),
            request: request.clone(),
            differences: answers(left, right, &volatile),
            intended: Vec::new(),
        };
        compared.differences.retain(|difference| match intended.reason(name, difference) {
            Some(reason) => {
                compared.intended.push(reason.to_owned());
                false
            }
            None => true,
        });
        compared
    };
    match (left, right) {
        (Side::Recording(recorded), Side::Live(live)) => {
            let answers = replay(recorded, live).await;
            let pairs = recorded.iter().zip(&answers);
            Ok(pairs
                .map(|(known, new)| one(&known.name, &known.request, &Ok(known.response.clone()), new))
                .collect())
        }
        (Side::Live(live), Side::Recording(recorded)) => {
            let answers = replay(recorded, live).await;
            let pairs = recorded.iter().zip(&answers);
            Ok(pairs
                .map(|(known, new)| one(&known.name, &known.request, new, &Ok(known.response.clone())))
                .collect())
        }
        (Side::Recording(left), Side::Recording(right)) => {
            let names =
                |side: &[Exchange]| -> Vec<String> { side.iter().map(|one| one.name.clone()).collect() };
            ensure!(names(left) == names(right), "the recordings are not of the same requests");
            let pairs = left.iter().zip(right);
            Ok(pairs
                .map(|(left, right)| {
                    one(&left.name, &left.request, &Ok(left.response.clone()), &Ok(right.response.clone()))
                })
                .collect())
        }
        (Side::Live(left), Side::Live(right)) => {
            let (left, right) = (ask(left, namespace).await?, ask(right, namespace).await?);
            let pairs = left.iter().zip(&right);
            Ok(pairs
                .map(|(left, right)| one(&left.name, &left.request, &left.answer, &right.answer))
                .collect())
        }
    }
}

/// Records what a server answers to the tool's own list.
pub async fn record(live: &Live, namespace: &str) -> Result<Vec<Exchange>> {
    ask(live, namespace)
        .await?
        .into_iter()
        .map(|Asked { name, request, answer, until }| {
            let response = answer.map_err(anyhow::Error::msg).with_context(|| format!("asking `{name}`"))?;
            Ok(Exchange { name, request, response, until })
        })
        .collect()
}

/// How long a server may take until it serves what was defined, and how long is waited between two looks.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// Sends a request again and again until the answer has the status, if one is said; gives the last answer.
async fn send_until(live: &Live, request: &Request, status: Option<u16>) -> Answer {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = send(live, request).await;
        let done = status.is_none_or(|status| answer.as_ref().is_ok_and(|answer| answer.status == status));
        if done || Instant::now() >= end {
            return answer;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A request of the list with its answer.
struct Asked {
    name: String,
    request: Request,
    answer: Answer,
    until: Option<u16>,
}

async fn ask(live: &Live, namespace: &str) -> Result<Vec<Asked>> {
    let mut answered: Vec<Exchange> = Vec::new();
    let mut all = Vec::new();
    for entry in requests::list(namespace)? {
        let request = entry.request(&answered).with_context(|| format!("request `{}`", entry.name))?;
        let answer = send_until(live, &request, entry.until).await;
        // Later requests may refer to this one even when it failed: its values are then empty.
        let response =
            answer.clone().unwrap_or(Response { status: 0, headers: Default::default(), body: Value::Null });
        let (name, until) = (entry.name, entry.until);
        answered.push(Exchange { name: name.clone(), request: request.clone(), response, until });
        all.push(Asked { name, request, answer, until });
    }
    Ok(all)
}

async fn replay(recorded: &[Exchange], live: &Live) -> Vec<Answer> {
    let mut learned = Learned::default();
    let mut answers = Vec::new();
    for exchange in recorded {
        let request = learned.replace(&exchange.request);
        let answer = send_until(live, &request, exchange.until).await;
        if let Ok(response) = &answer {
            learned.learn(&exchange.response.body, &response.body);
        }
        answers.push(answer);
    }
    answers
}

async fn send(live: &Live, request: &Request) -> Answer {
    live.send(request).await.map_err(|error| format!("{error:#}"))
}

fn answers(left: &Answer, right: &Answer, volatile: &Volatile) -> Vec<Difference> {
    if let (Ok(left), Ok(right)) = (left, right) {
        return responses(left, right, volatile);
    }
    let shown = |answer: &Answer| match answer {
        Ok(response) => Some(Value::String(format!("status {}", response.status))),
        Err(error) => Some(Value::String(error.clone())),
    };
    let (left, right) = (shown(left), shown(right));
    vec![Difference { class: Class::NoAnswer, path: "answer".to_owned(), left, right }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(name: &str, status: u16) -> Side {
        let line = format!(
            r#"{{"name":"{name}","request":{{"method":"GET","path":"/api"}},"response":{{"status":{status}}}}}"#
        );
        Side::Recording(exchange::parse(&line).unwrap())
    }

    #[tokio::test]
    async fn recordings_are_compared_exchange_by_exchange() {
        let same = compare(&recording("a", 200), &recording("a", 200), "n").await.unwrap();
        assert!(same.len() == 1 && same[0].differences.is_empty());
        let other = compare(&recording("a", 200), &recording("a", 404), "n").await.unwrap();
        assert_eq!(other[0].differences[0].class, Class::OtherStatus);
        assert!(compare(&recording("a", 200), &recording("b", 200), "n").await.is_err());
    }

    #[test]
    fn a_side_that_does_not_answer_differs() {
        let volatile = Volatile::new().unwrap();
        let good = Ok(Response { status: 200, headers: Default::default(), body: Value::Null });
        let found = answers(&good, &Err("refused".to_owned()), &volatile);
        assert_eq!((found.len(), found[0].class), (1, Class::NoAnswer));
    }
}
