//! The document as a page, for people: no script, and nothing from anywhere else.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The style sheet of the page.
pub const STYLE: &str = include_str!("page.css");

/// The page of a document.
pub fn page(document: &Value) -> String {
    let mut out = String::new();
    let info = &document["info"];
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} {version}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"stylesheet\" href=\"/api/docs/style.css\">\
         </head><body><header><h1>{title} <small>{version}</small></h1>{description}\
         <p><a href=\"/api/v1/openapi.json\">openapi.json</a></p></header>\n",
        title = shown(&info["title"]),
        version = shown(&info["version"]),
        description = prose(&info["description"]),
    );
    let tags = list(&document["tags"]);
    out += "<nav>";
    tags.iter().for_each(|tag| {
        let name = shown(&tag["name"]);
        let _ = write!(out, "<a href=\"#{}\">{name}</a> ", anchor(&tag["name"]));
    });
    out += "<a href=\"#schemas\">schemas</a></nav>\n<main>";
    tags.iter().for_each(|tag| group(&mut out, document, tag));
    out += "<section><h2 id=\"schemas\">schemas</h2>";
    members(&document["components"]["schemas"]).for_each(|(name, schema)| named_schema(&mut out, name, schema));
    out += "</section></main></body></html>\n";
    out
}

/// The operations of a group.
fn group(out: &mut String, document: &Value, tag: &Value) {
    let _ = write!(
        out,
        "<section><h2 id=\"{}\">{}</h2>{}",
        anchor(&tag["name"]),
        shown(&tag["name"]),
        prose(&tag["description"])
    );
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in members(item).filter(|(_, operation)| operation["tags"][0] == tag["name"]) {
            one(out, document, (method, path), operation);
        }
    }
    *out += "</section>\n";
}

fn one(out: &mut String, document: &Value, (method, path): (&str, &str), operation: &Value) {
    let deprecated = if operation["deprecated"] == true { " class=\"deprecated\"" } else { "" };
    let id = shown(&operation["operationId"]);
    let _ = write!(
        out,
        "<details{deprecated} id=\"{id}\"><summary><b class=\"{method}\">{}</b> <code>{}</code> <span>{}</span></summary>",
        method.to_ascii_uppercase(),
        escaped(path),
        shown(&operation["summary"]),
    );
    *out += &prose(&operation["description"]);
    if let Some(role) = operation["x-ade-role"].as_str() {
        let _ = write!(out, "<p>Role: <code>{}</code></p>", escaped(role));
    }
    parameters(out, document, &operation["parameters"]);
    members(&operation["requestBody"]["content"]).for_each(|(media_type, content)| {
        let _ = write!(out, "<h4>Body <code>{}</code></h4><p>{}</p>", escaped(media_type), form(&content["schema"]));
    });
    *out += "<h4>Answers</h4><dl>";
    for (status, answer) in members(&operation["responses"]) {
        let is_shared = answer.get("$ref").is_some();
        let answer = resolved(document, answer);
        let _ = write!(
            out,
            "<dt>{}</dt><dd>{}",
            escaped(status),
            marked(answer["description"].as_str().unwrap_or_default())
        );
        members(&answer["content"]).filter(|_| !is_shared).for_each(|(media_type, content)| {
            let _ = write!(out, "<br><code>{}</code> {}", escaped(media_type), form(&content["schema"]));
        });
        *out += "</dd>";
    }
    *out += "</dl></details>";
}

fn parameters(out: &mut String, document: &Value, parameters: &Value) {
    let parameters = list(parameters);
    if parameters.is_empty() {
        return;
    }
    *out += "<h4>Parameters</h4><table>";
    for parameter in parameters.iter().map(|parameter| resolved(document, parameter)) {
        let content = members(&parameter["content"]).next().map(|(_, content)| &content["schema"]);
        let _ = write!(
            out,
            "<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            shown(&parameter["name"]),
            if parameter["required"] == true { " *" } else { "" },
            shown(&parameter["in"]),
            form(content.unwrap_or(&parameter["schema"])),
            marked(parameter["description"].as_str().unwrap_or_default()),
        );
    }
    *out += "</table>";
}

fn named_schema(out: &mut String, name: &str, schema: &Value) {
    let name = escaped(name);
    let _ = write!(out, "<details id=\"schema-{name}\"><summary><code>{name}</code></summary>");
    *out += &prose(&schema["description"]);
    *out += &form(schema);
    *out += "</details>";
}

/// What is shared stands elsewhere.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let shared = value["$ref"].as_str().and_then(|path| document.pointer(path.trim_start_matches('#')));
    shared.unwrap_or(value)
}

/// A schema: its type in words, and a row for each member.
fn form(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/")) {
        let name = escaped(name);
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for (combined, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        let parts: Vec<_> = list(&schema[combined]).iter().filter(|part| part.get("if").is_none()).map(form).collect();
        if !parts.is_empty() {
            return parts.join(word) + &table(schema);
        }
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", escaped(&value.to_string()));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().map(|value| format!("<code>{}</code>", shown(value))).collect();
        return values.join(" ");
    }
    if schema["type"] == "array" {
        return format!("list of {}", form(&schema["items"]));
    }
    kind(schema) + &table(schema)
}

/// The type, and its bounds.
fn kind(schema: &Value) -> String {
    let mut words = match &schema["type"] {
        Value::String(word) => word.clone(),
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    };
    for bound in ["format", "pattern", "minimum", "maximum", "minLength", "maxLength", "contentMediaType"] {
        if let Some(value) = schema.get(bound) {
            let _ = write!(words, " {bound} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    escaped(&words)
}

fn table(schema: &Value) -> String {
    let Some(properties) = schema["properties"].as_object() else { return String::new() };
    let required = list(&schema["required"]);
    let rows = properties.iter().map(|(name, member)| {
        let mark = if required.iter().any(|own| own == name) { " *" } else { "" };
        let what = marked(member["description"].as_str().unwrap_or_default());
        format!("<tr><td><code>{}</code>{mark}</td><td>{}</td><td>{what}</td></tr>", escaped(name), form(member))
    });
    format!("<table>{}</table>", rows.collect::<String>())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE).iter().map(|(name, member)| (name.as_str(), member))
}

/// Paragraphs.
fn prose(text: &Value) -> String {
    let paragraphs = text.as_str().unwrap_or_default().split("\n\n").filter(|part| !part.is_empty());
    paragraphs.map(|part| format!("<p>{}</p>", marked(part))).collect()
}

/// What stands between backticks is code; no more of Markdown is used.
fn marked(text: &str) -> String {
    let mut parts = text.split('`');
    let plain = escaped(parts.next().unwrap_or_default());
    let rest = parts.enumerate().map(|(index, part)| match index % 2 {
        0 => format!("<code>{}</code>", escaped(part)),
        _ => escaped(part),
    });
    plain + &rest.collect::<String>()
}

fn anchor(name: &Value) -> String {
    name.as_str().unwrap_or_default().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

fn shown(value: &Value) -> String {
    escaped(value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_document_says_is_text_and_no_markup() {
        assert_eq!(marked("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
        assert_eq!(form(&json!({"enum": ["<x>"]})), "<code>&lt;x&gt;</code>");
        let page = page(&json!({"info": {"title": "<script>", "version": "\"", "description": "x"}}));
        assert!(!page.contains("<script>"), "{page}");
    }

    #[test]
    fn a_schema_is_shown_by_its_members() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"$ref": "#/components/schemas/RunId"},
            "b": {"type": "array", "items": {"type": "string", "maxLength": 3}, "description": "some"},
        }});
        let shown = form(&schema);
        assert!(shown.contains("<code>a</code> *</td><td><a href=\"#schema-RunId\">RunId</a>"), "{shown}");
        assert!(shown.contains("<code>b</code></td><td>list of string maxLength 3</td><td>some"), "{shown}");
    }
}
