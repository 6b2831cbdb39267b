//! The parameters of a list, parsed once.

use super::filters;
use super::token;
use crate::domain::list::{Direction, Filter, Order, Place, Query, Schema, Sort, Within};
use crate::http::problem::Problem;
use crate::http::query::{RawQuery, digits, flag};

pub const MAX_PAGE: u64 = 1_000_000;
pub const MAX_PER_PAGE: u64 = 200;
const PER_PAGE: u64 = 50;
/// Names of how many items a page has.
const SIZES: [&str; 3] = ["perPage", "page_size", "limit"];
const MAX_SORT_KEYS: usize = 3;
/// Characters.
pub const MAX_SEARCH: usize = 200;
const MAX_WORDS: usize = 8;

/// A parsed request for a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    pub query: Query,
    pub part: Part,
    pub per_page: u64,
}

/// Which part of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Counted from 1; answered with the total.
    Page(u64),
    /// Behind a place, or from the beginning; answered with the next place.
    After(Option<Place>),
}

impl ListRequest {
    pub fn read(query: RawQuery, schema: &Schema, within: Within) -> Result<Self, Problem> {
        let raw = Raw::read(query, schema)?;
        let per_page = raw.per_page.unwrap_or(PER_PAGE);
        let query = Query { within, filter: raw.filter(schema)?, order: raw.order(schema)? };
        let part = match (raw.cursor.as_deref(), raw.page.as_deref()) {
            (None, page) => Part::Page(number("page", page, 1, MAX_PAGE)?),
            (Some(_), Some(_)) => return Err(Problem::invalid_query("page", "omitted when `cursor` is given")),
            (Some(""), None) => Part::After(None),
            (Some(token), None) => Part::After(Some(token::read(schema, &query, token)?)),
        };
        Ok(Self { query, part, per_page })
    }
}

fn number(name: &'static str, text: Option<&str>, default: u64, most: u64) -> Result<u64, Problem> {
    let Some(text) = text else { return Ok(default) };
    let number = digits(text).filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| Problem::invalid_query(name, format!("a whole number from 1 to {most}")))
}

/// The pairs of the query, by name.
#[derive(Default)]
struct Raw {
    page: Option<String>,
    per_page: Option<u64>,
    cursor: Option<String>,
    sort: Option<String>,
    q: Option<String>,
    filters: Option<String>,
    join: Option<String>,
    statuses: Vec<String>,
    /// Of [`Schema::parameters`], by their place there.
    fields: Vec<Vec<String>>,
}

impl Raw {
    fn read(query: RawQuery, schema: &Schema) -> Result<Self, Problem> {
        let mut raw = Self { fields: vec![Vec::new(); schema.parameters.len()], ..Self::default() };
        for (name, value) in query.into_rest() {
            // No list has an empty text or a NUL in it, and PostgreSQL knows no NUL at all.
            if value.contains('\0') {
                return Err(Problem::invalid_query(&name, "text without NUL"));
            }
            if name == "status" && !schema.statuses.is_empty() {
                raw.statuses.push(value);
                continue;
            }
            // Clients that know other lists ask for the total; here it is always told.
            if name == "include_total" {
                flag(&name, &value)?;
                continue;
            }
            if let Some(name) = SIZES.into_iter().find(|size| *size == name) {
                raw.resize(name, &value)?;
                continue;
            }
            if let Some(index) = schema.parameters.iter().position(|(own, _)| *own == name) {
                raw.fields[index].push(value);
                continue;
            }
            let place = raw.place(&name, schema).ok_or_else(|| Problem::invalid_query(&name, allowed(schema)))?;
            if place.replace(value).is_some() {
                return Err(Problem::invalid_query(&name, "given once"));
            }
        }
        Ok(raw)
    }

    fn resize(&mut self, name: &'static str, text: &str) -> Result<(), Problem> {
        match self.per_page.replace(number(name, Some(text), PER_PAGE, MAX_PER_PAGE)?) {
            Some(_) => Err(Problem::invalid_query(name, "given once, by one of its names")),
            None => Ok(()),
        }
    }

    fn place(&mut self, name: &str, schema: &Schema) -> Option<&mut Option<String>> {
        match name {
            "page" => Some(&mut self.page),
            "cursor" => Some(&mut self.cursor),
            "sort" => Some(&mut self.sort),
            "q" => Some(&mut self.q),
            "filters" if !schema.filters.is_empty() => Some(&mut self.filters),
            "joinOperator" if !schema.filters.is_empty() => Some(&mut self.join),
            _ => None,
        }
    }

    fn order(&self, schema: &Schema) -> Result<Order, Problem> {
        let text = self.sort.as_deref().unwrap_or_default();
        let names: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if names.len() > MAX_SORT_KEYS {
            return Err(Problem::invalid_query("sort", format!("at most {MAX_SORT_KEYS} keys")));
        }
        let keys = names.iter().map(|name| sort_key(name, schema)).collect::<Result<Vec<_>, _>>()?;
        Ok(match keys.split_first() {
            Some((first, others)) => Order::by(*first, others),
            None => Order::by(schema.order, &[]),
        })
    }

    fn filter(&self, schema: &Schema) -> Result<Filter, Problem> {
        let mut all = Vec::new();
        all.extend(filters::of_statuses(&self.statuses, schema)?);
        for ((name, field), texts) in schema.parameters.iter().zip(&self.fields).filter(|(_, texts)| !texts.is_empty())
        {
            all.push(filters::of_parameter(name, *field, texts, schema)?);
        }
        let join = filters::join(self.join.as_deref())?;
        all.extend(self.filters.as_deref().map(|text| filters::parse(text, join, schema)).transpose()?);
        all.extend(words(self.q.as_deref().unwrap_or_default())?);
        Ok(Filter::All(all))
    }
}

/// The words that a search is for; all of them must be found.
fn words(text: &str) -> Result<impl Iterator<Item = Filter>, Problem> {
    if text.chars().count() > MAX_SEARCH {
        return Err(Problem::invalid_query("q", format!("at most {MAX_SEARCH} characters")));
    }
    if text.split_whitespace().count() > MAX_WORDS {
        return Err(Problem::invalid_query("q", format!("at most {MAX_WORDS} words")));
    }
    Ok(text.split_whitespace().map(|word| Filter::Word(word.to_owned())))
}

fn sort_key(text: &str, schema: &Schema) -> Result<Sort, Problem> {
    let (name, direction) = match text.strip_prefix('-') {
        Some(name) => (name, Direction::Descending),
        None => (text, Direction::Ascending),
    };
    let field = filters::field(name, schema.sorts);
    let field = field.ok_or_else(|| {
        Problem::invalid_query(
            "sort",
            format!("a comma-separated list of {}, each optionally prefixed with `-`", filters::names(schema.sorts)),
        )
    })?;
    Ok(Sort { field, direction })
}

fn allowed(schema: &Schema) -> String {
    let mut names = vec!["page", "perPage", "cursor", "sort", "q"];
    if !schema.filters.is_empty() {
        names.extend(["filters", "joinOperator"]);
    }
    if !schema.statuses.is_empty() {
        names.push("status");
    }
    names.extend(schema.parameters.iter().map(|(name, _)| *name));
    format!("one of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::list::{BUILDS, Comparison, Field, RUNS, Test, Value, WORKFLOW_DOCUMENTS, WORKSPACES};

    fn read(text: &str, schema: &Schema) -> Result<ListRequest, Problem> {
        ListRequest::read(RawQuery::parse(text)?, schema, Within::default())
    }

    fn parse(text: &str) -> Result<ListRequest, Problem> {
        read(text, &RUNS)
    }

    #[test]
    fn nothing_asked_is_the_first_page_in_the_list_s_own_order() {
        let parsed = parse("").unwrap();
        assert_eq!((parsed.part, parsed.per_page), (Part::Page(1), 50));
        assert_eq!(parsed.query.filter, Filter::everything());
        assert_eq!(parsed.query.order, Order::by(RUNS.order, &[]));
    }

    #[test]
    fn both_spellings_of_a_key_are_the_same() {
        let sorted = |text: &str| parse(text).unwrap().query.order;
        assert_eq!(sorted("sort=-startedAt,status"), sorted("sort=-started_at,%20status"));
        assert_ne!(sorted("sort=-startedAt"), sorted("sort=startedAt"));
        assert_eq!(sorted("sort=createdAt,createdAt"), sorted("sort=createdAt"));
        assert_eq!(sorted("sort="), sorted(""));
    }

    #[test]
    fn statuses_filters_and_words_must_all_hold() {
        let filter = |text: &str| parse(text).unwrap().query.filter;
        let is = |word: &str| Value::Text(word.into());
        let status = Filter::Test(Field::Status, Test::In(vec![is("failed"), is("queued")]));
        let text = "status=failed&status=queued&q=a%20%20bc&joinOperator=or\
                    &filters=[{%22id%22:%22hasOutput%22,%22operator%22:%22eq%22,%22value%22:true}]";
        let has_output = Filter::Test(Field::HasOutput, Test::Compare(Comparison::Eq, Value::Flag(true)));
        let words = ["a", "bc"].map(|word| Filter::Word(word.into()));
        let [a, bc] = words;
        assert_eq!(filter(text), Filter::All(vec![status, Filter::Any(vec![has_output]), a, bc]));
    }

    #[test]
    fn a_wrong_parameter_is_named_with_what_is_allowed() {
        let long = format!("q={}", "x".repeat(201));
        for (text, path, allowed) in [
            ("page=0", "page", "from 1 to"),
            ("page=x", "page", "from 1 to"),
            ("perPage=201", "perPage", "1 to 200"),
            ("perPage=0", "perPage", "1 to 200"),
            ("perpage=1", "perpage", "perPage"),
            ("sort=colour", "sort", "created_at"),
            ("sort=has_output", "sort", "created_at"),
            ("sort=id,status,created_at,started_at", "sort", "at most 3"),
            ("status=lost", "status", "queued"),
            ("joinOperator=xor", "joinOperator", "and or or"),
            ("page=1&page=2", "page", "once"),
            ("page=1&cursor=", "page", "cursor"),
            ("q=a%00b", "q", "NUL"),
            ("q=1+2+3+4+5+6+7+8+9", "q", "8 words"),
            (&long, "q", "200 characters"),
        ] {
            let problem = parse(text).unwrap_err();
            assert_eq!(problem.errors[0].path, path, "{text}");
            assert!(problem.errors[0].message.contains(allowed), "{text}: {:?}", problem.errors);
        }
    }

    #[test]
    fn a_field_with_a_parameter_of_its_own_is_asked_for_by_it() {
        let parse = |text: &str| read(text, &WORKFLOW_DOCUMENTS);
        let text = |text: &str| Value::Text(text.into());
        let types = Filter::Test(Field::DocumentType, Test::In(vec![text("plan"), text("risk list")]));
        let latest = Filter::Test(Field::IsLatest, Test::Compare(Comparison::Eq, Value::Flag(true)));
        let parsed = parse("latest=true&document_type=plan&document_type=risk%20list").unwrap();
        assert_eq!(parsed.query.filter, Filter::All(vec![types, latest]));
        for (text, path, allowed) in [
            ("latest=maybe", "latest", "true or false"),
            ("latest=true&latest=false", "latest", "once"),
            ("scope_id=", "scope_id", "1 to"),
            ("execution_id=run_1", "execution_id", "execution_id"),
            ("workflow_id=x", "workflow_id", "document_type"),
        ] {
            let problem = parse(text).unwrap_err();
            assert_eq!(problem.errors[0].path, path, "{text}");
            assert!(problem.errors[0].message.contains(allowed), "{text}: {:?}", problem.errors);
        }
    }

    #[test]
    fn the_number_of_items_has_the_names_that_clients_know() {
        for text in ["perPage=7", "page_size=7", "limit=7", "limit=7&include_total=true", "limit=7&include_total=0"] {
            assert_eq!(parse(text).unwrap().per_page, 7, "{text}");
        }
        assert_eq!(parse("page_size=7&limit=7").unwrap_err().errors[0].path, "limit");
        assert_eq!(parse("include_total=yes").unwrap_err().errors[0].path, "include_total");
    }

    #[test]
    fn a_plain_list_has_no_filters_to_offer() {
        for text in ["filters=[]", "joinOperator=and", "status=active"] {
            let problem = read(text, &WORKSPACES).unwrap_err();
            assert_eq!(problem.errors[0].message, "one of page, perPage, cursor, sort, q");
        }
        assert!(read("status=succeeded", &BUILDS).is_err());
    }
}
