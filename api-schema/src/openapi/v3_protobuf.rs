//! The protobuf form of OpenAPI version 3: `openapi.v3.Document` of gnostic, from the JSON document.

use serde_json::Value;

use super::messages::{Carried, Message, encode};

/// Encodes a document that [`super::v3::document`] or [`super::v3::plain_document`] made.
pub fn protobuf(document: &Value) -> Vec<u8> {
    encode(document, &DOCUMENT)
}

static SCHEMA_FIELDS: [(&str, u32, Carried); 33] = [
    ("nullable", 1, Carried::Boolean),
    ("readOnly", 3, Carried::Boolean),
    ("writeOnly", 4, Carried::Boolean),
    ("example", 7, Carried::Any),
    ("deprecated", 8, Carried::Boolean),
    ("title", 9, Carried::Text),
    ("multipleOf", 10, Carried::Float),
    ("maximum", 11, Carried::Float),
    ("exclusiveMaximum", 12, Carried::Boolean),
    ("minimum", 13, Carried::Float),
    ("exclusiveMinimum", 14, Carried::Boolean),
    ("maxLength", 15, Carried::Whole),
    ("minLength", 16, Carried::Whole),
    ("pattern", 17, Carried::Text),
    ("maxItems", 18, Carried::Whole),
    ("minItems", 19, Carried::Whole),
    ("uniqueItems", 20, Carried::Boolean),
    ("maxProperties", 21, Carried::Whole),
    ("minProperties", 22, Carried::Whole),
    ("required", 23, Carried::Texts),
    ("enum", 24, Carried::Anys),
    ("type", 25, Carried::Text),
    ("allOf", 26, Carried::Messages(&SCHEMA)),
    ("oneOf", 27, Carried::Messages(&SCHEMA)),
    ("anyOf", 28, Carried::Messages(&SCHEMA)),
    ("not", 29, Carried::Message(&SCHEMA_ITSELF)),
    ("items", 30, Carried::ItemsItem(&SCHEMA)),
    ("properties", 31, Carried::Named(1, &SCHEMA)),
    ("additionalProperties", 32, Carried::AdditionalProperties(&SCHEMA)),
    ("default", 33, Carried::Scalar),
    ("description", 34, Carried::Text),
    ("format", 35, Carried::Text),
    ("externalDocs", 6, Carried::Message(&EXTERNAL_DOCS)),
];

static EXTERNAL_DOCS: Message =
    Message::new(&[("description", 1, Carried::Text), ("url", 2, Carried::Text)], 3);

static SCHEMA: Message = Message::new(&SCHEMA_FIELDS, 36).or_reference();

/// What `not` holds, where nothing can refer to a schema.
static SCHEMA_ITSELF: Message = Message::new(&SCHEMA_FIELDS, 36);

static MEDIA_TYPE: Message = Message::new(&[("schema", 1, Carried::Message(&SCHEMA))], 5);

static RESPONSE: Message =
    Message::new(&[("description", 1, Carried::Text), ("content", 3, Carried::Named(1, &MEDIA_TYPE))], 5)
        .or_reference();

static REQUEST_BODY: Message = Message::new(
    &[
        ("description", 1, Carried::Text),
        ("content", 2, Carried::Named(1, &MEDIA_TYPE)),
        ("required", 3, Carried::Boolean),
    ],
    4,
)
.or_reference();

static PARAMETER: Message = Message::new(
    &[
        ("name", 1, Carried::Text),
        ("in", 2, Carried::Text),
        ("description", 3, Carried::Text),
        ("required", 4, Carried::Boolean),
        ("schema", 10, Carried::Message(&SCHEMA)),
    ],
    14,
)
.or_reference();

static OPERATION: Message = Message::new(
    &[
        ("tags", 1, Carried::Texts),
        ("description", 3, Carried::Text),
        ("operationId", 5, Carried::Text),
        ("parameters", 6, Carried::Messages(&PARAMETER)),
        ("requestBody", 7, Carried::Message(&REQUEST_BODY)),
        ("responses", 8, Carried::Named(2, &RESPONSE)),
        ("deprecated", 10, Carried::Boolean),
    ],
    13,
);

static PATH_ITEM: Message = Message::new(
    &[
        ("get", 4, Carried::Message(&OPERATION)),
        ("put", 5, Carried::Message(&OPERATION)),
        ("post", 6, Carried::Message(&OPERATION)),
        ("delete", 7, Carried::Message(&OPERATION)),
        ("options", 8, Carried::Message(&OPERATION)),
        ("head", 9, Carried::Message(&OPERATION)),
        ("patch", 10, Carried::Message(&OPERATION)),
        ("parameters", 13, Carried::Messages(&PARAMETER)),
    ],
    14,
);

static SECURITY_SCHEME: Message = Message::new(
    &[
        ("type", 1, Carried::Text),
        ("description", 2, Carried::Text),
        ("name", 3, Carried::Text),
        ("in", 4, Carried::Text),
    ],
    9,
)
.or_reference();

static COMPONENTS: Message = Message::new(
    &[
        ("schemas", 1, Carried::Named(1, &SCHEMA)),
        ("securitySchemes", 7, Carried::Named(1, &SECURITY_SCHEME)),
    ],
    10,
);

static INFO: Message = Message::new(&[("title", 1, Carried::Text), ("version", 6, Carried::Text)], 7);

static DOCUMENT: Message = Message::new(
    &[
        ("openapi", 1, Carried::Text),
        ("info", 2, Carried::Message(&INFO)),
        ("paths", 4, Carried::Named(1, &PATH_ITEM)),
        ("components", 5, Carried::Message(&COMPONENTS)),
    ],
    9,
);
