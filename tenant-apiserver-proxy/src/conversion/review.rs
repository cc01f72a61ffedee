//! What a `ConversionReview` says, there and back, in Kubernetes' words where it cannot be used.

use api_resources::metadata;
use api_types::Cause;
use serde_json::{Map, Value, json};

/// Why an answer cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The webhook failed, or what it sent is no answer.
    Failed(String),
    /// It gave so many objects.
    Count(usize),
    /// What it gave is not what may come of a conversion: at which place, and why.
    Object(usize, String),
    /// The same for its metadata.
    Metadata(usize, String),
}

/// The body of a review.
pub fn request(version: &str, uid: &str, api_version: &str, objects: &[Value]) -> Value {
    json!({"kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{version}"),
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": objects}})
}

/// The objects of an answer, with the metadata that they had: labels and annotations are all that may change.
pub fn read(
    answer: &[u8],
    version: &str,
    uid: &str,
    api_version: &str,
    before: &[Value],
) -> Result<Vec<Value>, Unusable> {
    let mut response = response(answer, version, uid).map_err(Unusable::Failed)?;
    let converted = match response["convertedObjects"].take() {
        Value::Array(converted) => converted,
        _ => Vec::new(),
    };
    if converted.len() != before.len() {
        return Err(Unusable::Count(converted.len()));
    }
    let mut out = Vec::with_capacity(converted.len());
    for (at, (before, mut converted)) in before.iter().zip(converted).enumerate() {
        check(before, &converted, api_version).map_err(|why| Unusable::Object(at, why))?;
        let metadata = restored(before, &converted).map_err(|why| Unusable::Metadata(at, why))?;
        converted["metadata"] = metadata;
        out.push(converted);
    }
    Ok(out)
}

/// `response` of an answer that says success.
fn response(answer: &[u8], version: &str, uid: &str) -> Result<Value, String> {
    let mut review: Value = serde_json::from_slice(answer)
        .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?;
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    // As in Kubernetes, the older version does not check who answers what.
    let strict = version == "v1";
    let (found, kind) = (text(&review["apiVersion"]), text(&review["kind"]));
    let wanted = format!("apiextensions.k8s.io/{version}");
    if strict && (found != wanted || kind != "ConversionReview") {
        let found = if found.is_empty() { "/" } else { &found };
        return Err(format!(
            "expected webhook response of {wanted}, Kind=ConversionReview, got {found}, Kind={kind}"
        ));
    }
    // What is no object has no fields to take anything from.
    let response = review.get_mut("response").map(Value::take).filter(Value::is_object);
    let response = response.ok_or("no response provided")?;
    let given = text(&response["uid"]);
    if strict && given != uid {
        return Err(format!("expected response.uid={uid:?}, got {given:?}"));
    }
    let result = &response["result"];
    if result["status"] == "Success" {
        return Ok(response);
    }
    match result["message"].as_str().unwrap_or("") {
        "" => Err(format!("response.result.status was '{}', not 'Success'", text(&result["status"]))),
        message => Err(message.to_owned()),
    }
}

fn check(before: &Value, after: &Value, api_version: &str) -> Result<(), String> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let found = text(&after["apiVersion"]);
    if found != api_version {
        return Err(format!("invalid groupVersion (expected {api_version}, received {found})"));
    }
    let (expected, received) = (text(&before["kind"]), text(&after["kind"]));
    if expected != received {
        return Err(format!("invalid kind (expected {expected}, received {received})"));
    }
    for (field, name) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let (expected, received) = (text(&before["metadata"][field]), text(&after["metadata"][field]));
        if expected != received {
            return Err(format!("must have the same {name}: {expected} != {received}"));
        }
    }
    Ok(())
}

/// The metadata from before, with the labels and annotations of what was converted.
fn restored(before: &Value, after: &Value) -> Result<Value, String> {
    let given = match after.get("metadata") {
        None => return Err("missing metadata in converted object".to_owned()),
        Some(Value::Object(given)) => given,
        Some(other) => {
            return Err(format!("invalid metadata of type {} in converted object", go_type(other)));
        }
    };
    let mut metadata = before["metadata"].as_object().cloned().unwrap_or_default();
    for field in ["labels", "annotations"] {
        let Some(value) = given.get(field).filter(|value| !value.is_null()) else {
            metadata.remove(field);
            continue;
        };
        let Value::Object(map) = value else {
            return Err(format!("invalid metadata.{field} of type {} in converted object", go_type(value)));
        };
        if let Some((key, value)) = map.iter().find(|(_, value)| !value.is_string()) {
            return Err(format!(
                "metadata.{field}[{key}] must be a string, but is {} in converted object",
                go_type(value)
            ));
        }
        if metadata.get(field) != Some(value) {
            let wrong = defects(field, map);
            if !wrong.is_empty() {
                return Err(wrong);
            }
        }
        metadata.insert(field.to_owned(), value.clone());
    }
    Ok(Value::Object(metadata))
}

fn defects(field: &str, map: &Map<String, Value>) -> String {
    let mut object = json!({"metadata": {"name": "x"}});
    object["metadata"][field] = Value::Object(map.clone());
    let causes = metadata::validate_create(&object, false, |_| Vec::new());
    let told: Vec<String> = causes.iter().map(Cause::to_string).collect();
    match told.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// What Go calls the type of a value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "example.dev/v2";

    fn before() -> Value {
        json!({"apiVersion": "example.dev/v1", "kind": "Widget", "spec": {"size": 1},
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "generation": 3, "labels": {"a": "b"}}})
    }

    fn after(change: impl FnOnce(&mut Value)) -> Value {
        let mut object = before();
        object["apiVersion"] = json!(V2);
        change(&mut object);
        object
    }

    fn answer(objects: &[Value]) -> Value {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
            "response": {"uid": "r", "result": {"status": "Success"}, "convertedObjects": objects}})
    }

    fn told(answer: &Value) -> Result<Vec<Value>, Unusable> {
        read(answer.to_string().as_bytes(), "v1", "r", V2, &[before()])
    }

    #[test]
    fn labels_and_annotations_are_all_of_the_metadata_that_may_change() {
        let given = after(|object| {
            object["spec"] = json!({"width": 1});
            object["metadata"] = json!({"name": "a", "namespace": "n", "uid": "u", "generation": 9,
                "annotations": {"c": "d"}, "finalizers": ["x/y"]});
        });
        let converted = told(&answer(&[given])).unwrap().pop().unwrap();
        assert_eq!(converted["spec"], json!({"width": 1}));
        assert_eq!(
            converted["metadata"],
            json!({"name": "a", "namespace": "n", "uid": "u", "generation": 3, "annotations": {"c": "d"}})
        );
    }

    #[test]
    fn what_is_no_conversion_is_refused() {
        type Change = fn(&mut Value);
        let table: [(Change, Unusable); 8] = [
            (
                |object| object["apiVersion"] = json!("example.dev/v1"),
                Unusable::Object(
                    0,
                    "invalid groupVersion (expected example.dev/v2, received example.dev/v1)".into(),
                ),
            ),
            (
                |object| object["kind"] = json!("Gadget"),
                Unusable::Object(0, "invalid kind (expected Widget, received Gadget)".into()),
            ),
            (
                |object| object["metadata"]["name"] = json!("b"),
                Unusable::Object(0, "must have the same name: a != b".into()),
            ),
            (
                |object| object["metadata"]["namespace"] = json!("m"),
                Unusable::Object(0, "must have the same namespace: n != m".into()),
            ),
            (
                |object| drop(object["metadata"].as_object_mut().unwrap().remove("uid")),
                Unusable::Object(0, "must have the same UID: u != ".into()),
            ),
            (
                |object| object["metadata"]["labels"] = json!([]),
                Unusable::Metadata(
                    0,
                    "invalid metadata.labels of type []interface {} in converted object".into(),
                ),
            ),
            (
                |object| object["metadata"]["labels"] = json!({"a": 1}),
                Unusable::Metadata(
                    0,
                    "metadata.labels[a] must be a string, but is int64 in converted object".into(),
                ),
            ),
            (
                |object| *object = json!(7),
                Unusable::Object(0, "invalid groupVersion (expected example.dev/v2, received )".into()),
            ),
        ];
        for (change, expected) in table {
            let given = after(change);
            assert_eq!(told(&answer(std::slice::from_ref(&given))), Err(expected), "{given}");
        }
        let labels = after(|object| object["metadata"]["labels"] = json!({"a": "b c"}));
        let found = told(&answer(&[labels])).unwrap_err();
        assert!(
            matches!(&found, Unusable::Metadata(0, why) if why.starts_with("metadata.labels: Invalid value: \"b c\"")),
            "{found:?}"
        );
        assert_eq!(told(&answer(&[])), Err(Unusable::Count(0)));
    }

    #[test]
    fn an_answer_says_to_what_it_is_one_and_that_it_succeeded() {
        let failed = |why: &str| Err(Unusable::Failed(why.to_owned()));
        let mut other = answer(&[]);
        other["response"]["uid"] = json!("x");
        assert_eq!(told(&other), failed("expected response.uid=\"r\", got \"x\""));
        assert!(matches!(
            read(other.to_string().as_bytes(), "v1beta1", "r", V2, &[before()]),
            Err(Unusable::Count(0))
        ));
        other["apiVersion"] = json!("apiextensions.k8s.io/v1beta1");
        let why = "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got \
                   apiextensions.k8s.io/v1beta1, Kind=ConversionReview";
        assert_eq!(told(&other), failed(why));
        let mut none = answer(&[]);
        none["response"] = Value::Null;
        assert_eq!(told(&none), failed("no response provided"));
        for nothing in ["[]", "7", "\"x\"", "null", "{}"] {
            let read = read(nothing.as_bytes(), "v1beta1", "r", V2, &[before()]);
            assert_eq!(read, failed("no response provided"), "{nothing}");
        }
        let mut sad = answer(&[]);
        sad["response"]["result"] = json!({"status": "Failure"});
        assert_eq!(told(&sad), failed("response.result.status was 'Failure', not 'Success'"));
        sad["response"]["result"]["message"] = json!("no such size");
        assert_eq!(told(&sad), failed("no such size"));
        let garbage = read(b"hello", "v1", "r", V2, &[]);
        assert!(matches!(garbage, Err(Unusable::Failed(why)) if why.contains("json parse error")));
    }
}
