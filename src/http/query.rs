//! The pairs of a query string, each read by its name. Nothing else reads queries.
//!
//! Invariant: whatever is wrong in a query, on whatever route, is an `invalid_query` that names the parameter: a value
//! that cannot be read, a parameter that is not known, and one that is given twice where only one can count.

use actix_web::dev::Payload;
use actix_web::web::Query;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::{Ready, ready};

use super::problem::Problem;

/// What of a query has not been read yet.
pub struct RawQuery(Vec<(String, String)>);

impl RawQuery {
    pub fn read(request: &HttpRequest) -> Result<Self, Problem> {
        Self::parse(request.query_string())
    }

    pub fn parse(text: &str) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_query(text);
        Ok(Self(pairs.map_err(|_| Problem::invalid_query("query", "percent-encoded pairs"))?.into_inner()))
    }

    /// The value of a parameter that is given at most once.
    pub fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.take_all(name);
        let value = values.pop();
        if values.is_empty() { Ok(value) } else { Err(Problem::invalid_query(name, "given once")) }
    }

    pub fn take_all(&mut self, name: &str) -> Vec<String> {
        self.take_where(|key| key == name).into_iter().map(|(_, value)| value).collect()
    }

    /// All parameters of these names.
    pub fn take_where(&mut self, is_it: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(|(key, _)| is_it(key));
        self.0 = left;
        taken
    }

    pub fn number(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        self.take(name)?.map(|text| number(name, &text)).transpose()
    }

    pub fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        self.take(name)?.map_or(Ok(false), |text| flag(name, &text))
    }

    /// What has not been read yet.
    pub fn into_rest(self) -> Vec<(String, String)> {
        self.0
    }

    /// Refuses parameters that have not been read; `known` lists the allowed ones.
    pub fn finish(self, known: &str) -> Result<(), Problem> {
        let Some((name, _)) = self.0.first() else { return Ok(()) };
        Err(Problem::invalid_query(name, format!("one of {known}")))
    }
}

/// For a list that is always whole: a query would ask for a part of it, and be passed over.
pub struct NoQuery;

impl FromRequest for NoQuery {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(RawQuery::read(request).and_then(|query| match query.0.first() {
            None => Ok(Self),
            Some((name, _)) => Err(Problem::invalid_query(name, "omitted: this list takes no parameters")),
        }))
    }
}

/// Digits and nothing else: what the contract calls an integer has no plus sign.
pub fn number(name: &str, text: &str) -> Result<u64, Problem> {
    digits(text).ok_or_else(|| Problem::invalid_query(name, "a whole number from 0"))
}

pub fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

pub fn flag(name: &str, text: &str) -> Result<bool, Problem> {
    flag_of(text).ok_or_else(|| Problem::invalid_query(name, "true or false"))
}

/// What `contract::flag` lists, and nothing else; a name alone, as in `?stream`, is true.
pub fn flag_of(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::contract;

    fn forms() -> Vec<String> {
        let schema = json!(contract::flag());
        let form = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        schema["enum"].as_array().unwrap().iter().map(form).collect()
    }

    #[test]
    fn a_flag_is_what_the_contract_lists_and_nothing_else() {
        for form in forms() {
            flag("stream", &form).unwrap_or_else(|_| panic!("{form:?}"));
        }
        for text in
            ["", "0", "1", "2", "01", "true", "false", "True", "TRUE", "on", "off", "yes", "no", "null", " true", "t"]
        {
            assert_eq!(flag("stream", text).is_ok(), forms().iter().any(|form| form == text), "{text:?}");
        }
    }

    #[test]
    fn a_number_is_digits_and_nothing_else() {
        for (text, number) in [("0", 0), ("10", 10), ("18446744073709551615", u64::MAX)] {
            assert_eq!(digits(text), Some(number));
        }
        for text in ["", "+5", "-5", " 5", "5 ", "5.0", "1e3", "0x5", "1_000", "18446744073709551616", "٥"] {
            assert_eq!(digits(text), None, "{text:?}");
        }
    }
}
