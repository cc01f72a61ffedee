//! Why a super cluster refuses what was asked for in protobuf: a `Status` in protobuf, one in JSON, or a proxy's own words.

use api_schema::{builtin, protobuf};
use api_types::ApiError;
use http::StatusCode;
use serde_json::Value;

/// How much is told of an answer that is no `Status`.
const TOLD: usize = 200;

/// The error that an answer stands for.
pub fn read(code: StatusCode, body: &[u8]) -> ApiError {
    let status = if body.starts_with(protobuf::PREFIX) {
        let root = builtin::kind("", "v1", "Status").map(|root| builtin::graph().at(root));
        root.and_then(|root| protobuf::decode(body, root).ok())
    } else {
        serde_json::from_slice(body).ok()
    };
    let mut status = status.filter(|status: &Value| status["kind"] == "Status").unwrap_or_else(|| {
        let text = String::from_utf8_lossy(body);
        let text: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(TOLD).collect();
        // The code alone says what it is; a reason that is empty would say that the server knows none.
        serde_json::json!({"reason": "no Status", "message": format!("the super cluster answers {code}: {text}")})
    });
    status["code"] = code.as_u16().into();
    ApiError::from_status(&status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::Reason;
    use serde_json::json;

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
            let error = read(StatusCode::from_u16(code).unwrap(), body);
            assert_eq!(error.reason(), reason, "{error}");
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
