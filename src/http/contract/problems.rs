//! The schema of each error code, and the answers that operations give with them.

use serde_json::{Value, json};

use crate::http::problem::Code;

/// The media types of a problem: a client that accepts no problems but JSON gets the same as JSON.
const MEDIA_TYPES: [&str; 2] = ["application/problem+json", "application/json"];

fn name(code: Code) -> String {
    format!("{code:?}Problem")
}

fn reference(code: Code) -> String {
    format!("#/components/schemas/{}", name(code))
}

/// A schema for each code, and that of their `errors`.
pub fn schemas() -> Vec<(String, Value)> {
    let mut schemas: Vec<_> = Code::ALL.iter().map(|&code| (name(code), schema(code))).collect();
    schemas.push(("FieldError".to_owned(), field_error()));
    schemas
}

fn field_error() -> Value {
    let text = |what: &str| json!({"type": "string", "description": what});
    json!({
        "type": "object",
        "description": "One place of a request that is wrong.",
        "required": ["path", "message", "code"],
        "properties": {
            "path": text("Where: a key of the body, the name of a parameter; empty for the whole."),
            "message": text("What is wrong, or what is allowed."),
            "code": text("What is wrong, for programs."),
        },
    })
}

fn schema(code: Code) -> Value {
    let mut properties = json!({
        "type": {"const": format!("/problems/{}", code.as_str())},
        "title": {"const": code.title()},
        "status": {"const": code.status_number()},
        "detail": {"type": "string", "description": "What happened this time."},
        "instance": {"type": "string", "description": "The path of the request."},
        "code": {"const": code.as_str()},
        "request_id": {"type": "string", "description": "Also in the header `X-Request-ID`."},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
    });
    let required: Vec<_> = properties.as_object().into_iter().flat_map(|own| own.keys().cloned()).collect();
    if let Value::Object(properties) = &mut properties {
        properties.extend(members(code).iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())));
    }
    let description = format!("{}. {}", code.title(), code.advice());
    json!({"type": "object", "description": description, "required": required, "properties": properties})
}

/// What problems of a code have beside the members of all; each may be missing.
fn members(code: Code) -> Vec<(&'static str, Value)> {
    let number = || json!({"type": "integer", "minimum": 0});
    // Of several streams on one connection.
    let stream = ("stream", json!({"type": "string", "description": "The stream that it is about."}));
    match code {
        Code::SequenceAhead => vec![("last_sequence", number()), stream],
        Code::PositionExpired => vec![("first_sequence", number()), stream],
        Code::NotFound | Code::Gone | Code::TooManySubscribers | Code::LogUnavailable => vec![stream],
        Code::ArchiveUnavailable | Code::ArchiveDamaged => vec![stream],
        Code::DocumentExists => vec![("document_id", json!({"$ref": "#/components/schemas/DocumentId"}))],
        Code::PreconditionFailed => {
            let etag = ("current_etag", json!({"type": ["string", "null"]}));
            vec![("current_version", number()), ("current_revision", number()), etag]
        }
        Code::NodeUnreachable | Code::OwnerChanged => vec![("node", json!({"type": "string"}))],
        Code::RoleRequired => vec![("required_role", json!({"$ref": "#/components/schemas/Role"}))],
        Code::SignInRefused => vec![("reason", json!({"type": "string"}))],
        Code::NoGroup => vec![("subject", json!({"type": "string"}))],
        Code::NotAmongAccepters => vec![("accepted_by", json!({"type": "array", "items": {"type": "string"}}))],
        Code::DocumentInUse | Code::ConfigurationInUse | Code::WorkspaceInUse => vec![("live", number())],
        Code::WorkflowInUse => vec![("active_executions", number())],
        _ => Vec::new(),
    }
}

/// A shared answer: its name, and itself.
pub struct Answer {
    pub status: u16,
    pub name: String,
    pub response: Value,
}

/// The answers to what an operation refuses: one for each status; pages too, where it shows them.
pub fn answers(codes: &[Code], as_pages: bool) -> Vec<Answer> {
    let mut codes: Vec<Code> = Code::ALL.iter().copied().filter(|code| codes.contains(code)).collect();
    codes.sort_by_key(|code| code.status_number());
    let of_status = codes.chunk_by(|one, other| one.status_number() == other.status_number());
    let answers = of_status.map(|codes| answer(codes[0].status_number(), codes));
    answers.map(|answer| if as_pages { with_page(answer) } else { answer }).collect()
}

fn with_page(mut answer: Answer) -> Answer {
    answer.name.push_str("AsPage");
    answer.response["content"]["text/html"] = json!({"schema": {"type": "string"}});
    answer
}

fn answer(status: u16, codes: &[Code]) -> Answer {
    let name = codes.iter().map(|code| format!("{code:?}")).collect::<Vec<_>>().join("Or");
    let lines: Vec<_> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    let schema = match codes {
        [code] => json!({"$ref": reference(*code)}),
        codes => {
            let each: Vec<_> = codes.iter().map(|&code| json!({"$ref": reference(code)})).collect();
            let mapping: serde_json::Map<_, _> =
                codes.iter().map(|&code| (code.as_str().to_owned(), reference(code).into())).collect();
            json!({"oneOf": each, "discriminator": {"propertyName": "code", "mapping": mapping}})
        }
    };
    let content: serde_json::Map<_, _> =
        MEDIA_TYPES.iter().map(|&media_type| (media_type.to_owned(), json!({"schema": schema}))).collect();
    let mut response = json!({"description": lines.join(" "), "content": content});
    if codes.iter().any(|code| matches!(code.status_number(), 429 | 503)) {
        let after = json!({"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}});
        response["headers"] = json!({"Retry-After": after});
    }
    Answer { status, name, response }
}
