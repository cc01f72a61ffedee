//! Why a super cluster refuses: a `Status`, in JSON or in protobuf, or a proxy's own words.

use api_schema::{builtin, protobuf};
use api_types::ApiError;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest refusal that is read, in bytes.
const MAX: usize = 64 << 10;
/// How long the rest of a refusal is waited for, within the time of the call.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many characters are told of an answer that is no `Status`, where that is told in a sentence of ours.
const TOLD: usize = 200;

/// What an answer says that is no success.
pub enum Refusal {
    Status(ApiError),
    Text(StatusCode, String),
}

/// Reads the rest of the answer. One that is cut off, too long or too slow says nothing but its code.
pub async fn read(answer: Response<Body>) -> Refusal {
    let (head, body) = answer.into_parts();
    match tokio::time::timeout(PATIENCE, Limited::new(body, MAX).collect()).await {
        Ok(Ok(body)) => of(head.status, &body.to_bytes()),
        _ => of(head.status, b""),
    }
}

fn of(code: StatusCode, body: &[u8]) -> Refusal {
    let status = if body.starts_with(protobuf::PREFIX) {
        let root = builtin::kind("", "v1", "Status").map(|root| builtin::graph().at(root));
        root.and_then(|root| protobuf::decode(body, root).ok())
    } else {
        serde_json::from_slice(body).ok()
    };
    match status {
        Some(mut status) if status["kind"] == "Status" => {
            status["code"] = code.as_u16().into();
            Refusal::Status(ApiError::from_status(&status))
        }
        _ => Refusal::Text(code, String::from_utf8_lossy(body).trim().to_owned()),
    }
}

impl Refusal {
    /// For whom the words are: they go out as they are.
    pub fn in_its_words(self) -> ApiError {
        match self {
            Refusal::Status(error) => error,
            Refusal::Text(code, said) => ApiError::given(code.as_u16(), None, said, &Value::Null),
        }
    }

    /// For whom only the reason counts: where none is given, the code says what it is.
    pub fn by_code(self) -> ApiError {
        match self {
            Refusal::Status(error) => error,
            Refusal::Text(code, said) => {
                let said: String =
                    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TOLD).collect();
                let message = format!("the super cluster answers {code}: {said}");
                // Without a reason it would say that the server knows none.
                ApiError::from_status(
                    &json!({"reason": "no Status", "message": message, "code": code.as_u16()}),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::Reason;

    #[test]
    fn refusals_are_read_in_whatever_they_come() {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired",
            "message": "too old", "code": 410});
        let root = builtin::graph().at(builtin::kind("", "v1", "Status").unwrap());
        let compact = protobuf::encode(&status, root, "v1", "Status").unwrap();
        for (code, body, reason, told) in [
            (410, status.to_string().as_bytes(), Reason::Expired, "too old"),
            (410, &compact, Reason::Expired, "too old"),
            (410, &compact[..compact.len() - 3], Reason::Gone, "410"),
            (429, b"{\"busy\": 1}", Reason::TooManyRequests, "busy"),
            (403, b"", Reason::Forbidden, "403"),
            (502, b"<html>\nno gateway".as_slice(), Reason::InternalError, "<html> no gateway"),
            // What a cluster without the metrics API answers.
            (404, b"404 page not found\n", Reason::NotFound, "404 page not found"),
        ] {
            let error = of(StatusCode::from_u16(code).unwrap(), body).by_code();
            assert_eq!(error.reason(), reason, "{error}");
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
