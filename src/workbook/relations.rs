//! Which part of a package refers to which, and as what.

use std::collections::HashMap;

use super::xml::{NotXml, elements};

/// The relations of one part.
#[derive(Debug, Default)]
pub struct Relations(HashMap<String, Relation>);

#[derive(Debug)]
struct Relation {
    kind: String,
    target: String,
}

impl Relations {
    pub fn parse(document: &[u8]) -> Result<Self, NotXml> {
        let mut relations = HashMap::new();
        elements(document, |element| {
            if element.is("Relationship") {
                let id = element.attribute("Id")?.unwrap_or_default();
                let kind = element.attribute("Type")?.unwrap_or_default();
                let target = element.attribute("Target")?.unwrap_or_default();
                relations.insert(id, Relation { kind, target });
            }
            Ok(())
        })?;
        Ok(Self(relations))
    }

    /// Types are URIs that differ between the strict and the usual form, and end alike.
    pub fn is_of_kind(&self, id: &str, kind: &str) -> Option<bool> {
        self.0.get(id).map(|relation| ends_with(&relation.kind, kind))
    }

    /// What the one relation of a kind leads to.
    pub fn target(&self, kind: &str) -> Option<&str> {
        self.0.values().find(|relation| ends_with(&relation.kind, kind)).map(|relation| relation.target.as_str())
    }
}

fn ends_with(uri: &str, kind: &str) -> bool {
    uri.rsplit_once('/').is_some_and(|(_, last)| last == kind)
}
