//! Subresources of pods that are streams: logs, and connections that go on in another protocol (RFC 9110, 7.8).
//!
//! Guarantees: what is upgraded is passed on byte by byte, in both directions, and read only as fast as the other side
//! takes it.

use super::just_closed::again;
use super::{CALL_TIMEOUT, path, refusals, unreachable_cluster};
use crate::super_api::At;
use api_types::{ApiError, Resource};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use plane_client::{PodAnswer, PodRequest};
use std::io;

/// Asks, and waits for the head of the answer.
pub(super) async fn open(
    client: &kube::Client,
    pod: &At,
    request: PodRequest,
) -> Result<PodAnswer, ApiError> {
    let path = path(&Resource::new("", "v1", "pods"), pod);
    let ask = if request.query.is_empty() { "" } else { "?" };
    let upgrade = request.headers.contains_key(header::UPGRADE);
    let changes_nothing = request.method == Method::GET && !upgrade;
    let built = Request::builder().method(request.method).uri(format!("{path}{ask}{}", request.query));
    let mut built = built
        .body(())
        .map_err(|error| ApiError::internal(format_args!("a request cannot be made: {error}")))?;
    *built.headers_mut() = request.headers;
    let sent = || client.send(built.clone().map(|()| Body::from(Bytes::new())));
    let answered = tokio::time::timeout(CALL_TIMEOUT, again(changes_nothing, sent)).await;
    let answer = answered.map_err(|_| unreachable_cluster("no answer in 30 s"))?;
    let answer = answer.map_err(unreachable_cluster)?;
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS if upgrade => {
            let headers = answer.headers().clone();
            let upgraded = hyper::upgrade::on(answer).await.map_err(unreachable_cluster)?;
            Ok(PodAnswer::Upgraded { headers, connection: Box::new(TokioIo::new(upgraded)) })
        }
        code if code.is_success() && !upgrade => {
            let body = answer.into_body().into_data_stream().map_err(io::Error::other).boxed();
            Ok(PodAnswer::Body { code, body })
        }
        code if code.is_client_error() || code.is_server_error() => {
            Err(refusals::read(answer).await.in_its_words())
        }
        code => {
            Err(ApiError::internal(format_args!("invalid upgrade response: status code {}", code.as_u16())))
        }
    }
}
