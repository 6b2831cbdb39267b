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
        match self.take(name)?.as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1" | "") => Ok(true),
            Some(_) => Err(Problem::invalid_query(name, "true or false")),
        }
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

pub fn number(name: &str, text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::invalid_query(name, "a whole number from 0"))
}
