//! A list in JSON that is put together while it is sent: its items stay the stored bytes until then, so that a list of
//! many megabytes takes no memory of its own.

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How much is put together at a time: so many bytes at least, if there are, and the rest of an item.
const PART: usize = 64 << 10;

/// A list: what comes before its items, and they.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Up to the bracket that the items come after.
    head: Bytes,
    items: Vec<Bytes>,
}

impl Joined {
    /// Of each item the first byte stands for a brace: what comes before it was cut off.
    pub fn new(head: Bytes, items: Vec<Bytes>) -> Self {
        Joined { head, items }
    }

    /// How many bytes it has, without the end of the line.
    pub fn size(&self) -> usize {
        let separators = self.items.len().saturating_sub(1);
        self.head.len() + self.items.iter().map(Bytes::len).sum::<usize>() + separators + END.len()
    }

    /// All of it, with room for the end of the line.
    pub fn whole(self) -> Bytes {
        let mut whole = BytesMut::with_capacity(self.size() + 1);
        self.parts().put(&mut whole, usize::MAX);
        // The end of the line is put after it where it is sent.
        whole.truncate(whole.len() - 1);
        whole.freeze()
    }

    /// As it is sent, with the end of the line.
    pub fn parts(self) -> Parts {
        let left = self.size() + 1;
        Parts { head: Some(self.head), items: self.items.into_iter(), first: true, left }
    }
}

/// What comes after the items.
const END: &[u8] = b"]}";

/// A list on its way.
pub struct Parts {
    head: Option<Bytes>,
    items: std::vec::IntoIter<Bytes>,
    first: bool,
    left: usize,
}

impl Parts {
    /// Puts together what comes next, until there are so many bytes.
    fn put(&mut self, out: &mut BytesMut, enough: usize) {
        if let Some(head) = self.head.take() {
            out.extend_from_slice(&head);
        }
        while out.len() < enough {
            let Some(item) = self.items.next() else {
                out.extend_from_slice(END);
                out.put_u8(b'\n');
                return;
            };
            if !std::mem::take(&mut self.first) {
                out.put_u8(b',');
            }
            out.put_u8(b'{');
            out.extend_from_slice(item.get(1..).unwrap_or_default());
        }
    }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut part = BytesMut::with_capacity((PART + PART / 4).min(self.left));
        self.put(&mut part, PART);
        self.left -= part.len();
        Poll::Ready(Some(Ok(Frame::data(part.freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn joined(items: &[&str]) -> Joined {
        let items = items.iter().map(|item| Bytes::from((*item).to_owned())).collect();
        Joined::new(Bytes::from_static(b"{\"items\":["), items)
    }

    #[tokio::test]
    async fn parts_and_the_whole_are_the_same_bytes_and_as_many_as_said() {
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(PART / 3));
        for (items, expected, frames) in [
            (vec![], 0, 1),
            (vec!["{\"a\":1}"], 1, 1),
            (vec![",\"a\":1}", "{\"b\":2}"], 2, 1),
            (vec![large.as_str(); 3], 3, 2),
            (vec![large.as_str(); 10], 10, 4),
        ] {
            let list = joined(&items);
            let whole = list.clone().whole();
            assert_eq!(whole.len(), list.size());
            let read: serde_json::Value = serde_json::from_slice(&whole).unwrap();
            assert_eq!(read["items"].as_array().map(Vec::len), Some(expected));
            let (mut parts, mut sent, mut count) = (list.parts(), Vec::new(), 0);
            while !parts.is_end_stream() {
                assert_eq!(parts.size_hint().exact(), Some((whole.len() + 1 - sent.len()) as u64));
                sent.extend_from_slice(&parts.frame().await.unwrap().unwrap().into_data().unwrap());
                count += 1;
            }
            assert!(parts.frame().await.is_none() && sent.pop() == Some(b'\n'));
            assert!(sent == whole && count == frames, "{expected} items in {count} parts");
        }
    }
}
