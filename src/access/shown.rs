//! What a request shows to be let in. Pure: texts in, a choice out.
//!
//! Invariant: one request is one caller's. What a program has put into a header counts before a ticket, and that before
//! the cookie, which a browser sends unasked; two headers that say different things are nobody's.

use super::secret::{self, LONGEST};
use crate::domain::KeyId;
use crate::domain::access::SecretDigest;

/// The cookie of a session.
pub const SESSION_COOKIE: &str = "ade_session";

/// The texts of a request.
#[derive(Default)]
pub struct Texts<'a> {
    /// Every `Authorization`; none of a text that is no text.
    pub authorization: Vec<Option<&'a str>>,
    /// Every `X-API-Key`.
    pub api_key: Vec<Option<&'a str>>,
    /// Every `Cookie`.
    pub cookies: Vec<&'a str>,
    pub ticket: Option<&'a str>,
    pub csrf_token: Option<&'a str>,
    /// Whether it asks for a change.
    pub changes: bool,
}

/// What of them counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    Nothing,
    /// It can be nobody's; why, without the text.
    Malformed(&'static str),
    Key(KeyId, SecretDigest),
    Ticket(SecretDigest),
    /// A session's, and whether what goes with it is there.
    Session {
        digest: SecretDigest,
        csrf: Csrf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Csrf {
    NotNeeded,
    Right,
    Wrong,
}

impl Shown {
    pub fn of(texts: &Texts<'_>) -> Self {
        match header(texts) {
            Some(Ok(key)) => of_key(key),
            Some(Err(why)) => Self::Malformed(why),
            None => match texts.ticket {
                Some(ticket) if ticket.len() <= LONGEST => Self::Ticket(secret::digest(ticket)),
                Some(_) => Self::Malformed("the ticket is too long"),
                None => of_cookies(texts),
            },
        }
    }
}

/// The one key of the headers, if there is any.
fn header<'a>(texts: &Texts<'a>) -> Option<Result<&'a str, &'static str>> {
    let bearers = texts.authorization.iter().filter_map(|text| bearer((*text)?));
    let plain = texts.api_key.iter().map(|text| text.map_or(NO_TEXT, str::trim));
    let mut all = bearers.chain(plain);
    let first = all.next()?;
    let agree = all.all(|other| secret::is_same_text(first, other));
    Some(if agree { Ok(first) } else { Err("the headers name different keys") })
}

/// Stands for bytes that are no text: it is no key either.
const NO_TEXT: &str = "";

/// The scheme is written in any case. Another scheme is said to somebody else, such as a proxy on the way.
fn bearer(text: &str) -> Option<&str> {
    let text = text.trim();
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim_start())
}

fn of_key(text: &str) -> Shown {
    let id = (text.len() <= LONGEST).then(|| secret::key_id(text)).flatten();
    id.map_or(Shown::Malformed("this is no key"), |id| Shown::Key(id, secret::digest(text)))
}

/// The secret of a session in these cookies.
pub fn session<'a>(cookies: impl Iterator<Item = &'a str>) -> Result<Option<&'a str>, &'static str> {
    let pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut own = pairs.filter(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value);
    match (own.next(), own.next()) {
        (None, _) | (Some(""), None) => Ok(None),
        (Some(value), None) if value.len() <= LONGEST => Ok(Some(value)),
        _ => Err("the cookie is no session's"),
    }
}

fn of_cookies(texts: &Texts<'_>) -> Shown {
    let session = match session(texts.cookies.iter().copied()) {
        Ok(Some(session)) => session,
        Ok(None) => return Shown::Nothing,
        Err(why) => return Shown::Malformed(why),
    };
    let csrf = match (texts.changes, texts.csrf_token) {
        (false, _) => Csrf::NotNeeded,
        (true, Some(token)) if secret::is_same_text(token, &secret::csrf_token(session)) => Csrf::Right,
        (true, _) => Csrf::Wrong,
    };
    Shown::Session { digest: secret::digest(session), csrf }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::super::secret::Minted;
    use super::*;

    fn key() -> (String, Shown) {
        let id = KeyId::generate();
        let minted = Minted::key(id).unwrap();
        (minted.text.expose_secret().to_owned(), Shown::Key(id, minted.digest))
    }

    #[test]
    fn a_key_comes_in_either_header_and_in_both_if_they_agree() {
        let (text, shown) = key();
        let bearers = [format!("Bearer {text}"), format!("bearer   {text} "), format!("BEARER {text}")];
        for bearer in &bearers {
            let authorization = vec![Some(bearer.as_str())];
            assert_eq!(Shown::of(&Texts { authorization, ..Texts::default() }), shown, "{bearer}");
        }
        let api_key = vec![Some(text.as_str())];
        assert_eq!(Shown::of(&Texts { api_key: api_key.clone(), ..Texts::default() }), shown);
        let authorization = vec![Some(bearers[0].as_str())];
        assert_eq!(Shown::of(&Texts { api_key, authorization: authorization.clone(), ..Texts::default() }), shown);
        let (other, _) = key();
        let different = Texts { api_key: vec![Some(other.as_str())], authorization, ..Texts::default() };
        assert!(matches!(Shown::of(&different), Shown::Malformed(_)));
    }

    #[test]
    fn what_is_no_key_is_nobodys() {
        let (text, _) = key();
        let long = format!("Bearer {text}{}", "A".repeat(4096));
        for wrong in ["Bearer", "Bearer ", "bearer x", &*long] {
            let texts = Texts { authorization: vec![Some(wrong)], ..Texts::default() };
            assert!(matches!(Shown::of(&texts), Shown::Malformed(_)), "{wrong:?}");
        }
        for wrong in [None, Some(""), Some("x")] {
            let texts = Texts { api_key: vec![wrong], ..Texts::default() };
            assert!(matches!(Shown::of(&texts), Shown::Malformed(_)), "{wrong:?}");
        }
        for others in [None, Some(""), Some("Basic dTpw"), Some(&*text), Some("Bearerx")] {
            let texts = Texts { authorization: vec![others], ..Texts::default() };
            assert_eq!(Shown::of(&texts), Shown::Nothing, "{others:?}");
            let beside = Texts { cookies: vec!["ade_session=ades_x"], ..texts };
            assert!(matches!(Shown::of(&beside), Shown::Session { .. }), "{others:?}");
        }
    }

    #[test]
    fn a_header_counts_before_a_ticket_and_a_ticket_before_the_cookie() {
        let (text, shown) = key();
        let cookies = vec!["a=b; ade_session=ades_x"];
        let session = Shown::Session { digest: secret::digest("ades_x"), csrf: Csrf::NotNeeded };
        let mut texts = Texts { cookies, ..Texts::default() };
        assert_eq!(Shown::of(&texts), session);
        texts.ticket = Some("adet_y");
        assert_eq!(Shown::of(&texts), Shown::Ticket(secret::digest("adet_y")));
        texts.api_key = vec![Some(&text)];
        assert_eq!(Shown::of(&texts), shown);
        texts.api_key = vec![Some("nonsense")];
        assert!(matches!(Shown::of(&texts), Shown::Malformed(_)), "a wrong header is not passed over");
    }

    #[test]
    fn a_cookie_changes_nothing_without_the_token_of_its_session() {
        let csrf = |token: Option<&str>, changes| {
            let texts = Texts { cookies: vec!["ade_session=ades_x"], csrf_token: token, changes, ..Texts::default() };
            match Shown::of(&texts) {
                Shown::Session { csrf, .. } => csrf,
                other => panic!("{other:?}"),
            }
        };
        let right = secret::csrf_token("ades_x");
        assert_eq!(csrf(None, false), Csrf::NotNeeded);
        assert_eq!(csrf(Some(&right), true), Csrf::Right);
        for wrong in [None, Some(""), Some("ades_x"), Some(&*secret::csrf_token("ades_y"))] {
            assert_eq!(csrf(wrong, true), Csrf::Wrong, "{wrong:?}");
        }
    }

    #[test]
    fn cookies_of_others_are_nothing_and_two_of_ours_are_nobodys() {
        let shown = |cookies: &[&'static str]| Shown::of(&Texts { cookies: cookies.to_vec(), ..Texts::default() });
        assert_eq!(shown(&["a=b", "x_ade_session=y; ade_session"]), Shown::Nothing);
        assert_eq!(shown(&["ade_session="]), Shown::Nothing);
        assert!(matches!(shown(&["ade_session=x", "ade_session=y"]), Shown::Malformed(_)));
    }
}
