//! Reading the bodies of requests: each, those of one plane together, and all together take no more than so many
//! bytes.
//!
//! What has come of a body counts from its first byte until its request is done. Who finds no room gets 429 with
//! `Retry-After`, and nothing of the request has happened.

use api_types::{ApiError, Reason};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longest body, as kube-apiserver has it.
pub const MAX_BODY: usize = 3 << 20;
/// The bodies of one plane's requests that are under way. Decoded they take about ten times as much.
pub const PLANE_BYTES: usize = 32 << 20;
/// The bodies of all requests that are under way.
pub const ALL_BYTES: usize = 256 << 20;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Room for so many bytes.
#[derive(Clone)]
pub struct Budget(Arc<Semaphore>);

/// What bodies have taken of the budgets; given back when dropped.
#[derive(Default)]
pub struct Room(Vec<OwnedSemaphorePermit>);

/// A body, and the room that it takes.
#[derive(Default)]
pub struct Held {
    /// The bytes.
    pub bytes: Bytes,
    /// To be kept until nobody has them any more.
    pub room: Room,
}

impl Budget {
    /// All of it is free.
    pub fn new(bytes: usize) -> Self {
        Budget(Arc::new(Semaphore::new(bytes)))
    }

    /// Takes so many bytes, if they are free, until what is returned is dropped.
    pub fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }
}

impl Room {
    /// Takes more of each budget; the first has its permit first.
    fn grow(&mut self, budgets: &[(&Budget, &str)], bytes: usize) -> Result<(), ApiError> {
        for (index, (budget, whose)) in budgets.iter().enumerate() {
            let Some(permit) = budget.take(bytes) else {
                let why =
                    format!("the requests under way {whose} are too large together, please try again later");
                return Err(ApiError::too_many_requests(why, 1));
            };
            match self.0.get_mut(index) {
                Some(held) => held.merge(permit),
                None => self.0.push(permit),
            }
        }
        Ok(())
    }
}

/// 413, as Kubernetes says it.
pub fn too_large() -> ApiError {
    ApiError::new(Reason::RequestEntityTooLarge, format!("Request entity too large: limit is {MAX_BODY}"))
}

/// Reads a body.
pub async fn read<B>(body: B, plane: &Budget, all: &Budget) -> Result<Held, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let budgets = [(plane, "in this plane"), (all, "in this server")];
    let read = tokio::time::timeout(BODY_TIMEOUT, collect(body, &budgets)).await;
    read.unwrap_or_else(|_| Err(ApiError::new(Reason::Timeout, "the body did not arrive in time")))
}

async fn collect<B>(body: B, budgets: &[(&Budget, &str)]) -> Result<Held, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let (mut first, mut rest, mut room) = (Bytes::new(), BytesMut::new(), Room::default());
    tokio::pin!(body);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| ApiError::bad_request(format!("the body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > MAX_BODY {
            return Err(too_large());
        }
        room.grow(budgets, data.len())?;
        // Most bodies come in one piece.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&std::mem::take(&mut first));
            rest.extend_from_slice(&data);
        }
    }
    let bytes = if rest.is_empty() { first } else { rest.freeze() };
    Ok(Held { bytes, room })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use std::convert::Infallible;

    fn body(sizes: Vec<usize>) -> impl http_body::Body<Data = Bytes, Error = Infallible> {
        let frames = sizes.into_iter().map(|size| Ok(Frame::data(Bytes::from(vec![b'x'; size]))));
        StreamBody::new(futures::stream::iter(frames))
    }

    fn free(budget: &Budget) -> usize {
        budget.0.available_permits()
    }

    #[tokio::test]
    async fn a_body_takes_room_until_it_is_dropped() {
        let (plane, all) = (Budget::new(100), Budget::new(1_000));
        let held = read(body(vec![10, 0, 20]), &plane, &all).await.ok().unwrap();
        assert_eq!((held.bytes.len(), free(&plane), free(&all)), (30, 70, 970));
        let error = read(body(vec![50, 30]), &plane, &all).await.err().unwrap();
        assert_eq!((error.code(), error.retry_after_seconds()), (429, Some(1)));
        assert_eq!((free(&plane), free(&all)), (70, 970), "who is refused holds nothing");
        // Another plane has room, until there is none for anybody.
        let others = read(body(vec![970]), &Budget::new(970), &all).await.ok().unwrap();
        assert_eq!(read(body(vec![1]), &plane, &all).await.err().unwrap().code(), 429);
        drop((held, others));
        assert_eq!((free(&plane), free(&all)), (100, 1_000));
        assert!(read(body(vec![]), &plane, &all).await.ok().unwrap().bytes.is_empty());
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_413_and_one_as_long_as_can_be_is_not() {
        let budget = Budget::new(ALL_BYTES);
        assert!(read(body(vec![MAX_BODY - 1, 1]), &budget, &budget.clone()).await.is_ok());
        let error = read(body(vec![MAX_BODY, 1]), &budget, &budget.clone()).await.err().unwrap();
        assert_eq!(error.to_status()["code"], 413);
        assert_eq!(free(&budget), ALL_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let error = read(never, &Budget::new(1), &Budget::new(1)).await.err().unwrap();
        assert_eq!(error.code(), 504);
    }
}
