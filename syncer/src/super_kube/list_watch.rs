//! What is in a super cluster and what becomes of it: lists in pages ([`super::pages`]), and watches after them, in JSON.

use super::pages::{Failed, List, Page};
use super::{CALL_TIMEOUT, api_error, path, request, selector_query, unreachable_cluster, without_history};
use crate::super_api::{At, SuperItem};
use api_types::ApiError;
use futures::future::OptionFuture;
use futures::{AsyncBufReadExt, FutureExt, StreamExt};
use http::{Method, header};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::mpsc;

/// Between so many objects of a page its task lets others go on, among them who asks for the next page.
const AT_A_STRETCH: usize = 16;
/// How long the server keeps a watch open, and how much longer we believe that it does.
const WATCH_SECONDS: u64 = 290;
/// Without even a bookmark (one a minute) for so long, a watch counts as dead.
const WATCH_SILENCE: Duration = Duration::from_secs(150);

/// Why it goes no further.
pub enum Followed {
    ReceiverGone,
    /// The revision is lost, or the cluster cannot be read: list again.
    Broken(ApiError),
    /// What was listed cannot be read in what it was asked for.
    Unreadable(ApiError),
}

impl From<Failed> for Followed {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(error) => Followed::Broken(error),
            Failed::Unreadable(error) => Followed::Unreadable(error),
        }
    }
}

/// One list, and watches after it for as long as they can be resumed.
pub async fn follow(list: &List<'_>, sender: &mpsc::Sender<SuperItem>, delay: &mut Duration) -> Followed {
    if sender.send(SuperItem::Restart).await.is_err() {
        return Followed::ReceiverGone;
    }
    let mut read = list.page("").await;
    let mut revision = loop {
        let page = match read {
            Ok(page) => page,
            Err(failed) => return failed.into(),
        };
        let (next, revision) = (page.next.clone(), page.revision.clone());
        // The super cluster puts the next page together while this one is read and taken in.
        let ahead = OptionFuture::from((!next.is_empty()).then(|| list.page(&next))).map(Ok);
        match tokio::try_join!(biased; ahead, take_in(page, sender)) {
            Ok((Some(next), ())) => read = next,
            Ok((None, ())) => break revision,
            Err(ended) => return ended,
        }
    };
    if sender.send(SuperItem::Synced).await.is_err() {
        return Followed::ReceiverGone;
    }
    *delay = Duration::from_millis(100);
    let mut failures = 0_u32;
    loop {
        match watch_once(list, &mut revision, sender).await {
            Watched::Ended => failures = 0,
            Watched::ReceiverGone => return Followed::ReceiverGone,
            Watched::Lost(error) => return Followed::Broken(error),
            Watched::Interrupted(error) => {
                failures += 1;
                tracing::debug!(%list.resource.resource, %error, "a watch of a super cluster was interrupted");
                if failures > 3 {
                    return Followed::Broken(error);
                }
                tokio::time::sleep(Duration::from_millis(200) * failures).await;
            }
        }
    }
}

/// Reads the objects of a page, and gives each to who takes them in.
async fn take_in(page: Page, sender: &mpsc::Sender<SuperItem>) -> Result<(), Followed> {
    for (number, item) in page.items.into_iter().enumerate() {
        let object = SuperItem::Applied(item.read()?);
        sender.send(object).await.map_err(|_| Followed::ReceiverGone)?;
        if number % AT_A_STRETCH == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

enum Watched {
    /// The server closed it in good order: resume.
    Ended,
    /// The connection failed: resume.
    Interrupted(ApiError),
    /// The revision is gone, or the server refuses: list again.
    Lost(ApiError),
    ReceiverGone,
}

async fn watch_once(list: &List<'_>, revision: &mut String, sender: &mpsc::Sender<SuperItem>) -> Watched {
    let query = format!(
        "?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={revision}{}",
        selector_query(list.selector)
    );
    let path = format!("{}{query}", path(list.resource, &At::new("", "")));
    let request = match request(Method::GET, &path, None, Vec::new()) {
        Ok(mut request) => {
            let identity = http::HeaderValue::from_static("identity");
            request.headers_mut().insert(header::ACCEPT_ENCODING, identity);
            request
        }
        Err(error) => return Watched::Lost(error),
    };
    let reader = match tokio::time::timeout(CALL_TIMEOUT, list.api.client.request_stream(request)).await {
        Err(_) => return Watched::Interrupted(unreachable_cluster("no answer in 30 s")),
        Ok(Err(error @ kube::Error::Api(_))) => return Watched::Lost(api_error(error)),
        Ok(Err(error)) => return Watched::Interrupted(api_error(error)),
        Ok(Ok(reader)) => reader,
    };
    let mut lines = std::pin::pin!(reader.lines());
    loop {
        let line = tokio::select! {
            line = tokio::time::timeout(WATCH_SILENCE, lines.next()) => line,
            () = sender.closed() => return Watched::ReceiverGone,
        };
        let line = match line {
            Err(_) => return Watched::Interrupted(unreachable_cluster("the watch fell silent")),
            Ok(None) => return Watched::Ended,
            Ok(Some(Err(error))) => return Watched::Interrupted(unreachable_cluster(error)),
            Ok(Some(Ok(line))) => line,
        };
        let Ok(mut event) = without_history::EVENT.read(line.as_bytes()) else {
            return Watched::Interrupted(unreachable_cluster("a watch event was cut off"));
        };
        let object = event["object"].take();
        let item = match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => SuperItem::Applied(object),
            Some("DELETED") => SuperItem::Deleted(object),
            Some("BOOKMARK") => {
                note_revision(revision, &object);
                continue;
            }
            _ => return Watched::Lost(ApiError::from_status(&object)),
        };
        if let SuperItem::Applied(object) | SuperItem::Deleted(object) = &item {
            note_revision(revision, object);
        }
        if sender.send(item).await.is_err() {
            return Watched::ReceiverGone;
        }
    }
}

fn note_revision(revision: &mut String, object: &Value) {
    if let Some(new) = object["metadata"]["resourceVersion"].as_str() {
        new.clone_into(revision);
    }
}
