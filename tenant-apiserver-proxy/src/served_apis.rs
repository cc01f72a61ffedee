//! What controllers read of a plane by path, as a service account of it: the same way as any request from authorization
//! on, whoever answers.

use crate::authentication::User;
use crate::handlers::{self, Incoming, metrics};
use crate::in_process::InProcess;
use crate::reply::{Content, Reply};
use crate::request_info::{self, RequestInfo};
use crate::stages::{Authenticated, Call, Query};
use api_resources::discovery;
use api_types::{ApiError, Reason, TenantId};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::{BodyExt, Limited};
use plane_client::{ServedApis, ServiceAccount};
use serde_json::Value;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer.
const LONGEST: usize = 16 << 20;

#[async_trait]
impl ServedApis for InProcess {
    async fn get(
        &self,
        tenant: TenantId,
        ServiceAccount(account): ServiceAccount,
        path: &str,
    ) -> Result<Value, ApiError> {
        let server = self.server();
        let plane = server.planes.get(tenant).ok_or_else(|| ApiError::internal("the plane is gone"))?;
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let info = request_info::parse(&Method::GET, bare, query);
        let info = info.ok_or_else(|| ApiError::bad_request("the path is no text"))?;
        let asked = asked(&info);
        let json = HeaderValue::from_static("application/json");
        let call = Call {
            plane,
            method: Method::GET,
            info,
            query: Query::parse(query),
            headers: HeaderMap::from_iter([(header::ACCEPT, json)]),
            target: path.to_owned(),
        };
        let groups = ["system:serviceaccounts".to_owned(), "system:serviceaccounts:kube-system".to_owned()];
        let user = User::authenticated(format!("system:serviceaccount:kube-system:{account}"), groups);
        let auth = Authenticated::on_behalf_of(call, user).authorize(server, None)?.through(account);
        let answered = async {
            let reply = handlers::dispatch(server, &auth, Incoming::new(Bytes::new(), "")).await?;
            read(reply, &asked).await
        };
        let late = |_| ApiError::unavailable(format!("no answer in {} s{asked}", PATIENCE.as_secs()), 1);
        tokio::time::timeout(PATIENCE, answered).await.map_err(late)?
    }

    async fn versions(&self, tenant: TenantId, group: &str) -> Vec<String> {
        let Some(plane) = self.server().planes.get(tenant) else { return Vec::new() };
        let catalog = plane.catalog.load_full();
        let foreign = metrics::with_metrics(self.server(), &plane, &catalog);
        let served = discovery::Served { catalog: &catalog, foreign: &foreign };
        let found = discovery::group(served, group).unwrap_or_default();
        let versions = found["versions"].as_array().into_iter().flatten();
        versions.filter_map(|version| version["version"].as_str().map(str::to_owned)).collect()
    }
}

/// What was asked for, as clients add it to errors that say nothing by themselves.
fn asked(info: &RequestInfo) -> String {
    match info {
        RequestInfo::Resource(request) => {
            let dot = if request.group.is_empty() { "" } else { "." };
            let space = if request.name.is_empty() { "" } else { " " };
            format!(" (get {}{dot}{}{space}{})", request.resource, request.group, request.name)
        }
        RequestInfo::Path { .. } => String::new(),
    }
}

async fn read(reply: Reply, asked: &str) -> Result<Value, ApiError> {
    let bytes = match reply.content {
        Content::Json(bytes) | Content::Raw(_, bytes) => bytes,
        Content::Joined(list) => list.whole(),
        Content::Status(status) => Bytes::from(status.to_string()),
        Content::Foreign(body) => {
            let whole = Limited::new(body, LONGEST).collect().await;
            whole.map_err(|error| ApiError::unavailable(format!("{error}{asked}"), 1))?.to_bytes()
        }
        Content::Encoded(..) | Content::Stream(..) => {
            return Err(ApiError::internal("the answer is a stream"));
        }
    };
    if bytes.len() > LONGEST {
        return Err(ApiError::unavailable(format!("the answer is longer than {LONGEST} bytes{asked}"), 1));
    }
    let value: Option<Value> = serde_json::from_slice(&bytes).ok();
    if reply.code.is_success() {
        return value.ok_or_else(|| ApiError::internal(format_args!("the answer is no JSON{asked}")));
    }
    if let Some(status) = value.filter(|value| value["kind"] == "Status") {
        return Err(ApiError::from_status(&status));
    }
    // In the words of Kubernetes' own clients.
    let unknown = format!("an error on the server ({:?})", String::from_utf8_lossy(&bytes).trim());
    let unknown = format!("{unknown} has prevented the request from succeeding");
    let (reason, why) = match reply.code.as_u16() {
        404 => (Reason::NotFound, "the server could not find the requested resource"),
        503 => (Reason::ServiceUnavailable, "the server is currently unable to handle the request"),
        429 => (
            Reason::TooManyRequests,
            "the server has received too many requests and has asked us to try again later",
        ),
        _ => (Reason::InternalError, unknown.as_str()),
    };
    Err(ApiError::new(reason, format!("{why}{asked}")))
}
