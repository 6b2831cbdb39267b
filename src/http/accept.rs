//! What of several forms a client prefers, by its `Accept` (RFC 9110, 12.5.1).
//!
//! Invariant: all routes that have more than one form choose it here. A client that accepts none of them gets the
//! first, as one does that sends no `Accept`: an unexpected form is of more use to it than a 406.

use std::cmp::Reverse;

use actix_web::HttpRequest;
use actix_web::http::header::{Accept, Header as _, Quality};

/// The form that the client prefers of these, each with its media type.
pub fn preferred<F: Copy>(request: &HttpRequest, offers: &[(&str, F)]) -> Option<F> {
    preferred_of(&Accept::parse(request).ok()?, offers)
}

/// The same of an `Accept` that was parsed before.
pub fn preferred_of<F: Copy>(accepted: &Accept, offers: &[(&str, F)]) -> Option<F> {
    let accepted: Vec<_> = accepted.0.iter().map(|item| (item.item.essence_str(), item.quality)).collect();
    let liked = offers.iter().filter_map(|&(offer, form)| {
        // What fits most exactly counts; of equally liked ones that which is named more exactly, or earlier.
        let fitting =
            accepted.iter().enumerate().map(|(at, (range, quality))| (exactness(range, offer), Reverse(at), quality));
        let (exactness, at, quality) = fitting.filter(|(exactness, ..)| *exactness > 0).max()?;
        (*quality > Quality::ZERO).then_some(((*quality, exactness, at), form))
    });
    // The first of equals, which `max_by_key` would not give.
    liked.rev().max_by_key(|(liking, _)| *liking).map(|(_, form)| form)
}

/// Whether the client takes JSON, and does not say that it takes problems.
pub fn takes_plain_json(request: &HttpRequest) -> bool {
    let Ok(accepted) = Accept::parse(request) else { return false };
    let takes = |media_type| preferred_of(&accepted, &[(media_type, ())]).is_some();
    takes("application/json") && !takes("application/problem+json")
}

/// 0 when the range does not hold the type.
fn exactness(range: &str, offer: &str) -> u8 {
    match (range, range.strip_suffix("/*")) {
        ("*/*", _) => 1,
        (_, Some(kind)) if offer.split('/').next() == Some(kind) => 2,
        (range, None) if range == offer => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    const OFFERS: [(&str, char); 3] =
        [("application/json", 'j'), ("text/event-stream", 's'), ("application/x-ndjson", 'n')];

    fn chosen(headers: &[&str]) -> char {
        let request = headers.iter().fold(TestRequest::get(), |request, text| request.append_header(("Accept", *text)));
        preferred(&request.to_http_request(), &OFFERS).unwrap_or('-')
    }

    #[test]
    fn the_most_liked_form_is_chosen() {
        for (accept, form) in [
            ("*/*", 'j'),
            ("text/event-stream", 's'),
            ("Text/Event-Stream", 's'),
            ("TEXT/EVENT-STREAM; charset=UTF-8", 's'),
            ("application/x-ndjson;q=0.9, application/json;q=0.5", 'n'),
            ("application/json;q=0.5, application/x-ndjson;q=0.9", 'n'),
            ("text/html, application/x-ndjson;q=0.9, */*;q=0.1", 'n'),
            ("text/event-stream;q=0.1, */*", 'j'),
            ("text/event-stream, */*", 's'),
            ("application/json, text/event-stream", 'j'),
            ("text/event-stream, application/json", 's'),
            ("text/*", 's'),
            ("application/*", 'j'),
            ("application/*, application/json;q=0", 'n'),
            ("*/*, application/json;q=0.2", 's'),
            ("application/json;q=0, */*;q=0.5", 's'),
            ("text/html, image/gif, *; q=0.2, */*; q=0.2", 'j'),
            ("text/event-stream;q=0", '-'),
            ("text/html", '-'),
            ("", '-'),
            ("nonsense, text/event-stream", 's'),
        ] {
            assert_eq!(chosen(&[accept]), form, "{accept}");
        }
        assert_eq!(chosen(&[]), '-');
        assert_eq!(chosen(&["application/json;q=0.3", "text/event-stream;q=0.4"]), 's', "two headers are one list");
    }
}
