//! Lists of metadata: `meta.k8s.io/v1` `PartialObjectMetadataList`, from the API server's own memory
//! (`resourceVersion=0`), of which only names, UIDs and versions are read. In protobuf where the cluster can: there is
//! less to write and to read.

use super::selector_query;
use crate::super_api::{At, Head};
use api_schema::protobuf;
use api_types::{ApiError, ObjectName, Resource};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt::Display;

/// What is asked for, the best first.
pub const ACCEPT: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
    application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

#[derive(Deserialize)]
struct Listed<'a> {
    /// A kube-apiserver writes `null` when there are none.
    #[serde(borrow)]
    items: Option<Vec<Item<'a>>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
}

/// Where the list is. A limit would have the cluster look into its store for most versions of Kubernetes.
pub fn path(resource: &Resource, selector: &str) -> String {
    format!("{}?resourceVersion=0{}", super::path(resource, &At::new("", "")), selector_query(selector))
}

/// What was answered.
pub fn read(answer: &[u8]) -> Result<Vec<Head>, ApiError> {
    if answer.starts_with(protobuf::PREFIX) { read_protobuf(answer) } else { read_json(answer) }
}

fn unreadable(error: impl Display) -> ApiError {
    ApiError::internal(format_args!("the super cluster's list: {error}"))
}

fn read_protobuf(answer: &[u8]) -> Result<Vec<Head>, ApiError> {
    let head = |item: protobuf::Head<'_>| {
        if [item.name, item.uid, item.resource_version].contains(&"") {
            return Err(unreadable("an item without a name, UID or version"));
        }
        let at = ObjectName::new(item.namespace, item.name);
        Ok(Head { at, uid: item.uid.into(), version: item.resource_version.into() })
    };
    protobuf::heads(answer).map_err(unreadable)?.into_iter().map(head).collect()
}

fn read_json(answer: &[u8]) -> Result<Vec<Head>, ApiError> {
    let listed: Listed<'_> = serde_json::from_slice(answer).map_err(unreadable)?;
    let head = |item: Item<'_>| Head {
        at: ObjectName::new(item.metadata.namespace, item.metadata.name),
        uid: item.metadata.uid.into(),
        version: item.metadata.resource_version.into(),
    };
    Ok(listed.items.into_iter().flatten().map(head).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_the_rest_is_not_looked_at() {
        let text = r#"{"kind": "PartialObjectMetadataList", "metadata": {"resourceVersion": "9"}, "items": [
            {"kind": "PartialObjectMetadata", "metadata": {"name": "a\u002db", "namespace": "s", "uid": "u",
                "resourceVersion": "7", "managedFields": [{"fieldsV1": {"f:spec": {}}}]}},
            {"metadata": {"name": "n", "uid": "v", "resourceVersion": "8"}, "spec": {}}]}"#;
        let head =
            |at: ObjectName, uid: &str, version: &str| Head { at, uid: uid.into(), version: version.into() };
        let expected =
            [head(ObjectName::new("s", "a-b"), "u", "7"), head(ObjectName::cluster("n"), "v", "8")];
        assert_eq!(read(text.as_bytes()).unwrap(), expected);
        assert!(read(b"{\"items\": [{}]}").is_err());
        for empty in ["{}", r#"{"items": []}"#, r#"{"items": null}"#] {
            assert!(read(empty.as_bytes()).unwrap().is_empty());
        }
    }

    #[test]
    fn heads_are_read_from_protobuf_too() {
        let item = b"\x12\x0f\x0a\x0d\x0a\x01a\x1a\x01s\x2a\x01u\x32\x02\x31\x37";
        let message = [b"k8s\0\x12\x11".as_slice(), item].concat();
        let expected = Head { at: ObjectName::new("s", "a"), uid: "u".into(), version: "17".into() };
        assert_eq!(read(&message).unwrap(), [expected]);
        assert!(read(&message[..message.len() - 1]).is_err());
        assert!(read(b"k8s\0\x12\x04\x12\x02\x0a\x00").is_err(), "an item that says nothing of itself");
    }

    #[test]
    fn the_memory_of_the_api_server_is_asked() {
        let path = path(&Resource::new("", "v1", "pods"), "a=b");
        assert_eq!(path, "/api/v1/pods?resourceVersion=0&labelSelector=a%3Db");
        assert!(ACCEPT.starts_with("application/vnd.kubernetes.protobuf;"));
        assert!(ACCEPT.contains("as=PartialObjectMetadataList"));
    }
}
