//! What a token says of a person, within bounds. Pure.

use openidconnect::core::CoreGenderClaim;
use openidconnect::{AdditionalClaims, IdTokenClaims};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Characters of a name.
const MAX_NAME: usize = 100;
/// What the standard allows.
const MAX_SUBJECT: usize = 255;

/// Claims that the standard does not name.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct Further {
    #[serde(flatten)]
    claims: Map<String, Value>,
}

impl AdditionalClaims for Further {}

pub type Claims = IdTokenClaims<Further, CoreGenderClaim>;

/// None when it cannot be one.
pub fn subject(claims: &Claims) -> Option<String> {
    let subject = claims.subject().as_str();
    let is_one = !subject.is_empty() && subject.len() <= MAX_SUBJECT && !subject.chars().any(char::is_control);
    is_one.then(|| subject.to_owned())
}

/// What they are called: the first of these that says anything.
pub fn name(claims: &Claims) -> String {
    let name = claims.name().and_then(|names| names.get(None)).map(|name| name.as_str());
    let texts = [
        name,
        claims.preferred_username().map(|name| name.as_str()),
        claims.email().map(|email| email.as_str()),
        Some(claims.subject().as_str()),
    ];
    texts.into_iter().flatten().map(plain).find(|name| !name.is_empty()).unwrap_or_default()
}

fn plain(text: &str) -> String {
    text.trim().chars().filter(|character| !character.is_control()).take(MAX_NAME).collect()
}

/// The groups, of a claim of this name; or of one inside others, where that has dots.
pub fn groups(claims: &Claims, name: &str) -> Vec<String> {
    groups_of(&claims.additional_claims().claims, name)
}

fn groups_of(claims: &Map<String, Value>, name: &str) -> Vec<String> {
    let found = claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, part| value.get(part))
    });
    match found {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(more: &Value) -> Claims {
        let mut claims = json!({"iss": "https://login.example", "aud": "ade", "exp": 2, "iat": 1, "sub": "s-1"});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(claims).unwrap()
    }

    #[test]
    fn groups_are_a_list_or_one_text_at_a_name_or_a_path() {
        for (said, at) in [
            (json!({"groups": ["a", "b"]}), "groups"),
            (json!({"realm_access": {"roles": ["a", "b"]}}), "realm_access.roles"),
            (json!({"https://x.example/groups": ["a", 7, null, "b"]}), "https://x.example/groups"),
        ] {
            assert_eq!(groups(&claims(&said), at), ["a", "b"], "{said}");
        }
        assert_eq!(groups(&claims(&json!({"groups": "a"})), "groups"), ["a"]);
        for none in [json!({}), json!({"groups": null}), json!({"groups": {"a": true}}), json!({"groups": 1})] {
            assert_eq!(groups(&claims(&none), "groups"), [""; 0], "{none}");
        }
        assert_eq!(groups(&claims(&json!({"a": {"b": "x"}})), "a.b.c"), [""; 0]);
    }

    #[test]
    fn a_name_is_what_says_anything_and_is_short() {
        for (said, expected) in [
            (json!({"name": "Ada Lovelace", "email": "ada@x.example"}), "Ada Lovelace"),
            (json!({"name": " ", "preferred_username": "ada"}), "ada"),
            (json!({"email": "ada@x.example"}), "ada@x.example"),
            (json!({}), "s-1"),
            (json!({"name": "A\nd\u{7f}a"}), "Ada"),
        ] {
            assert_eq!(name(&claims(&said)), expected, "{said}");
        }
        assert_eq!(name(&claims(&json!({"name": "\u{e4}".repeat(500)}))).chars().count(), MAX_NAME);
    }

    #[test]
    fn a_subject_is_short_and_plain() {
        assert_eq!(subject(&claims(&json!({}))).as_deref(), Some("s-1"));
        for wrong in ["", "a\nb", &"x".repeat(MAX_SUBJECT + 1)] {
            assert_eq!(subject(&claims(&json!({"sub": wrong}))), None, "{wrong:?}");
        }
    }
}
