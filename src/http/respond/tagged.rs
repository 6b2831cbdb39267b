//! JSON with an `ETag`.
//!
//! Law: the tag of a representation changes whenever the representation does. It is what a change of the resource must
//! know, such as a version or the digest of a content, and after a dot a mark of all that is shown: a status, a name, a
//! time, or which version is the latest. A change is asked about the former alone (`input::tags`).

use std::fmt::Display;

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::http::problem::Problem;

/// Between the two parts; digests and numbers have none.
pub const DOT: char = '.';
/// Hexadecimal digits: two representations of one version in a row are told apart, and nobody is kept from making two alike.
const MARK: usize = 16;

/// The answer with a representation, whose `known` part a change must know.
pub fn tagged(
    mut answer: HttpResponseBuilder,
    known: impl Display,
    resource: &impl Serialize,
) -> Result<HttpResponse, Problem> {
    let json = serde_json::to_vec(resource).map_err(Problem::internal)?;
    let etag = format!("\"{known}{DOT}{}\"", mark(&json));
    Ok(answer.insert_header((header::ETAG, etag)).content_type("application/json").body(json))
}

/// Of what is shown with something that differs each time, such as the time: the tag of `shown`, which is without it.
pub fn weak(known: impl Display, shown: &impl Serialize) -> Result<String, Problem> {
    let json = serde_json::to_vec(shown).map_err(Problem::internal)?;
    Ok(format!("W/\"{known}{DOT}{}\"", mark(&json)))
}

/// What of a tag a change must know.
pub fn known(tag: &str) -> &str {
    tag.split_once(DOT).map_or(tag, |(known, _)| known)
}

fn mark(json: &[u8]) -> String {
    let mut digest = format!("{:x}", Sha256::digest(json));
    digest.truncate(MARK);
    digest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_says_what_a_change_must_know_and_differs_with_all_that_is_shown() {
        let tag = |known: u64, shown: serde_json::Value| {
            let answer = tagged(HttpResponse::Ok(), known, &shown).unwrap();
            answer.headers().get(header::ETAG).unwrap().to_str().unwrap().to_owned()
        };
        let one = tag(3, json!({"is_latest": true}));
        assert_eq!(one, tag(3, json!({"is_latest": true})));
        for other in [tag(3, json!({"is_latest": false})), tag(4, json!({"is_latest": true}))] {
            assert_ne!(one, other);
        }
        assert_eq!(known(one.trim_matches('"')), "3");
        assert_eq!((known("sha256:ab"), known("3"), known("")), ("sha256:ab", "3", ""));
        assert!(weak("sha256:ab", &json!(1)).unwrap().starts_with("W/\"sha256:ab."));
    }
}
