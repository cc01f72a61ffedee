//! `componentstatuses`: what a control plane consists of. Nothing is stored: each answer is made when it is asked for.

use super::list::{self, Page, Selection};
use super::list_options::ListOptions;
use super::{get, not_allowed};
use crate::cache::record::Record;
use crate::gateway::{self, Place};
use crate::reply::Reply;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, GroupResource, Reason, Revision};
use http::StatusCode;
use object_store::ObjectStore;
use serde_json::{Value, json};
use std::sync::Arc;

/// The components by the names that Kubernetes gives them. The first two are roles of the process that answers.
const NAMES: [&str; 3] = ["scheduler", "controller-manager", "etcd-0"];

/// True for the resource.
pub fn is(place: &Place) -> bool {
    place.row.group.is_empty() && place.row.plural == "componentstatuses"
}

/// Answers a get, a list or a watch; anything else is not offered.
pub async fn answer(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    verb: &str,
) -> Result<Reply, ApiError> {
    match verb {
        "get" => {
            if !NAMES.contains(&place.name.as_str()) {
                return Err(ApiError::not_found(&GroupResource::new("", "componentstatus"), &place.name));
            }
            let record = record(server, place, &place.name).await?;
            get::show(auth, place, &record, StatusCode::OK)
        }
        "list" => {
            let query = &auth.call().query;
            ListOptions::parse(query, false)?;
            let selection = Selection::parse(query, place)?;
            let mut records = Vec::new();
            for name in NAMES {
                records.push(record(server, place, name).await?);
            }
            records.retain(|record| selection.matches(record));
            let page = Page { records, revision: Revision::ZERO, next: None, remaining: None };
            list::show(&get::Form::of(auth, place)?, place, &page)
        }
        "watch" => Err(ApiError::new(
            Reason::MethodNotAllowed,
            "watch is not supported on resources of kind \"componentstatuses\"",
        )),
        _ => Err(not_allowed()),
    }
}

async fn record(server: &Server, place: &Place, name: &str) -> Result<Arc<Record>, ApiError> {
    // The store answers, or says why not.
    let defect = match name {
        "etcd-0" => server.store.writable().await.err().map(|_| "the store cannot be written"),
        _ => None,
    };
    let mut place = place.clone();
    place.name = name.into();
    gateway::unstored(&place, &status(name, defect), None)
}

fn status(name: &str, defect: Option<&str>) -> Value {
    json!({"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [{
        "type": "Healthy",
        "status": if defect.is_none() { "True" } else { "False" },
        "message": defect.unwrap_or("ok"),
    }]})
}
