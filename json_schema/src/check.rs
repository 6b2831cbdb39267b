//! Checking values by a schema: nothing is fetched, and a pattern takes time linear in the text.
//!
//! All that is generic in the validator is compiled here once, and not again by whoever checks something.

use jsonschema::{Draft, PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::Value;

const PATTERN_BYTES: usize = 1 << 20;

/// A schema of JSON Schema 2020-12, compiled.
#[derive(Debug)]
pub struct Check(Validator);

/// What is wrong with a value, or with a schema. Neither text is bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub keyword: String,
    /// A JSON pointer.
    pub path: String,
    /// Without the value itself.
    pub message: String,
}

impl Check {
    /// The fault is the schema's.
    pub fn compile(schema: &Value) -> Result<Self, Fault> {
        Self::build(&options(), schema)
    }

    /// As [`Check::compile`]; `format` is asserted.
    pub fn with_formats(schema: &Value) -> Result<Self, Fault> {
        Self::build(&options().should_validate_formats(true), schema)
    }

    fn build(options: &ValidationOptions<'_>, schema: &Value) -> Result<Self, Fault> {
        options.build(schema).map(Self).map_err(|error| fault(&error))
    }

    pub fn is_valid(&self, value: &Value) -> bool {
        self.0.is_valid(value)
    }

    /// The first that is found, without looking for others.
    pub fn first_fault(&self, value: &Value) -> Option<Fault> {
        self.0.validate(value).err().as_ref().map(fault)
    }

    /// All of them. The validator collects them before the first is given.
    pub fn faults<'a>(&'a self, value: &'a Value) -> Box<dyn Iterator<Item = Fault> + 'a> {
        Box::new(self.0.iter_errors(value).map(|error| fault(&error)))
    }
}

fn options() -> ValidationOptions<'static> {
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
    jsonschema::options().with_draft(Draft::Draft202012).with_pattern_options(patterns).offline()
}

fn fault(error: &ValidationError<'_>) -> Fault {
    Fault {
        keyword: error.kind().keyword().to_owned(),
        path: error.instance_path().as_str().to_owned(),
        message: error.masked().to_string(),
    }
}
