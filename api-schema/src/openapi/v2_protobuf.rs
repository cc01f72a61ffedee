//! The protobuf form of OpenAPI version 2: `openapi.v2.Document` of gnostic, from the JSON document.

use serde_json::Value;

use super::messages::{Carried, Message, encode};

/// Encodes a document that [`super::v2::document`] made.
pub fn protobuf(document: &Value) -> Vec<u8> {
    encode(document, &DOCUMENT)
}

/// What a parameter is, by where it is given.
fn parameter(parameter: &Value) -> &'static Message {
    match parameter["in"].as_str() {
        Some("body") => &BODY_PARAMETER,
        Some("path") => &PATH_PARAMETER,
        _ => &QUERY_PARAMETER,
    }
}

static SCHEMA: Message = Message::new(
    &[
        ("$ref", 1, Carried::Text),
        ("format", 2, Carried::Text),
        ("title", 3, Carried::Text),
        ("description", 4, Carried::Text),
        ("default", 5, Carried::Any),
        ("multipleOf", 6, Carried::Float),
        ("maximum", 7, Carried::Float),
        ("exclusiveMaximum", 8, Carried::Boolean),
        ("minimum", 9, Carried::Float),
        ("exclusiveMinimum", 10, Carried::Boolean),
        ("maxLength", 11, Carried::Whole),
        ("minLength", 12, Carried::Whole),
        ("pattern", 13, Carried::Text),
        ("maxItems", 14, Carried::Whole),
        ("minItems", 15, Carried::Whole),
        ("uniqueItems", 16, Carried::Boolean),
        ("maxProperties", 17, Carried::Whole),
        ("minProperties", 18, Carried::Whole),
        ("required", 19, Carried::Texts),
        ("enum", 20, Carried::Anys),
        ("additionalProperties", 21, Carried::AdditionalProperties(&SCHEMA)),
        ("type", 22, Carried::TypeItem),
        ("items", 23, Carried::ItemsItem(&SCHEMA)),
        ("properties", 25, Carried::Named(1, &SCHEMA)),
    ],
    31,
);

static RESPONSE_SCHEMA: Message = Message::new(SCHEMA_FIELDS, 31).within(&[1]);
const SCHEMA_FIELDS: &[(&str, u32, Carried)] = &[("$ref", 1, Carried::Text), ("type", 22, Carried::TypeItem)];

static RESPONSE: Message =
    Message::new(&[("description", 1, Carried::Text), ("schema", 2, Carried::Message(&RESPONSE_SCHEMA))], 5)
        .within(&[1]);

static OPERATION: Message = Message::new(
    &[
        ("tags", 1, Carried::Texts),
        ("description", 3, Carried::Text),
        ("operationId", 5, Carried::Text),
        ("produces", 6, Carried::Texts),
        ("consumes", 7, Carried::Texts),
        ("parameters", 8, Carried::OneOf(parameter)),
        ("responses", 9, Carried::Named(1, &RESPONSE)),
        ("schemes", 10, Carried::Texts),
    ],
    13,
);

static PATH_ITEM: Message = Message::new(
    &[
        ("get", 2, Carried::Message(&OPERATION)),
        ("put", 3, Carried::Message(&OPERATION)),
        ("post", 4, Carried::Message(&OPERATION)),
        ("delete", 5, Carried::Message(&OPERATION)),
        ("options", 6, Carried::Message(&OPERATION)),
        ("head", 7, Carried::Message(&OPERATION)),
        ("patch", 8, Carried::Message(&OPERATION)),
        ("parameters", 9, Carried::OneOf(parameter)),
    ],
    10,
);

/// `ParametersItem.parameter`, then `Parameter.body_parameter`.
static BODY_PARAMETER: Message = Message::new(
    &[
        ("description", 1, Carried::Text),
        ("name", 2, Carried::Text),
        ("in", 3, Carried::Text),
        ("required", 4, Carried::Boolean),
        ("schema", 5, Carried::Message(&SCHEMA)),
    ],
    6,
)
.within(&[1, 1]);

/// `ParametersItem.parameter`, `Parameter.non_body_parameter`, `NonBodyParameter.query_parameter_sub_schema`.
static QUERY_PARAMETER: Message = Message::new(
    &[
        ("required", 1, Carried::Boolean),
        ("in", 2, Carried::Text),
        ("description", 3, Carried::Text),
        ("name", 4, Carried::Text),
        ("type", 6, Carried::Text),
        ("uniqueItems", 20, Carried::Boolean),
    ],
    23,
)
.within(&[1, 2, 3]);

/// As above, with `NonBodyParameter.path_parameter_sub_schema`.
static PATH_PARAMETER: Message = Message::new(
    &[
        ("required", 1, Carried::Boolean),
        ("in", 2, Carried::Text),
        ("description", 3, Carried::Text),
        ("name", 4, Carried::Text),
        ("type", 5, Carried::Text),
        ("uniqueItems", 19, Carried::Boolean),
    ],
    22,
)
.within(&[1, 2, 4]);

/// `SecurityDefinitionsItem.api_key_security`.
static API_KEY: Message = Message::new(
    &[
        ("type", 1, Carried::Text),
        ("name", 2, Carried::Text),
        ("in", 3, Carried::Text),
        ("description", 4, Carried::Text),
    ],
    5,
)
.within(&[2]);

static INFO: Message = Message::new(&[("title", 1, Carried::Text), ("version", 2, Carried::Text)], 7);

static DOCUMENT: Message = Message::new(
    &[
        ("swagger", 1, Carried::Text),
        ("info", 2, Carried::Message(&INFO)),
        ("paths", 8, Carried::Named(2, &PATH_ITEM)),
        ("definitions", 9, Carried::Named(1, &SCHEMA)),
        ("security", 12, Carried::Requirements),
        ("securityDefinitions", 13, Carried::Named(1, &API_KEY)),
    ],
    16,
);
