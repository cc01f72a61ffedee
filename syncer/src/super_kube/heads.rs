//! Lists of metadata: `meta.k8s.io/v1` `PartialObjectMetadataList`, from the API server's own memory
//! (`resourceVersion=0`), of which only names, UIDs and versions are read.

use super::{path, selector_query};
use crate::super_api::{At, Head};
use api_types::{ApiError, ObjectName, Resource};
use http::{Method, Request, header};
use serde::Deserialize;
use std::borrow::Cow;

const ACCEPT: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

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

/// The request. A limit would have the cluster look into its store for most versions of Kubernetes.
pub fn request(resource: &Resource, selector: &str) -> Result<Request<Vec<u8>>, ApiError> {
    let path = format!("{}?resourceVersion=0{}", path(resource, &At::new("", "")), selector_query(selector));
    let request = Request::builder().method(Method::GET).uri(path).header(header::ACCEPT, ACCEPT);
    let request = request.header(header::ACCEPT_ENCODING, "identity").body(Vec::new());
    request.map_err(|error| ApiError::internal(format_args!("a request cannot be made: {error}")))
}

/// What was answered.
pub fn read(text: &str) -> Result<Vec<Head>, ApiError> {
    let listed: Listed<'_> = serde_json::from_str(text)
        .map_err(|error| ApiError::internal(format_args!("the super cluster's list: {error}")))?;
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
        assert_eq!(read(text).unwrap(), expected);
        assert!(read("{\"items\": [{}]}").is_err());
        for empty in ["{}", r#"{"items": []}"#, r#"{"items": null}"#] {
            assert!(read(empty).unwrap().is_empty());
        }
    }

    #[test]
    fn the_memory_of_the_api_server_is_asked() {
        let request = request(&Resource::new("", "v1", "pods"), "a=b").unwrap();
        assert_eq!(request.uri(), "/api/v1/pods?resourceVersion=0&labelSelector=a%3Db");
        assert!(request.headers()[header::ACCEPT].to_str().unwrap().contains("as=PartialObjectMetadataList"));
    }
}
