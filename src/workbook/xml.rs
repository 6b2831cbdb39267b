//! Elements of a document, one after the other: their local names and attributes, whatever their namespaces' prefixes
//! are.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// It is not XML, or not in UTF-8.
#[derive(Debug, thiserror::Error)]
#[error("not XML: {0}")]
pub struct NotXml(String);

/// Calls `each` with every element that begins.
pub fn elements(document: &[u8], mut each: impl FnMut(&Element<'_>) -> Result<(), NotXml>) -> Result<(), NotXml> {
    let text = std::str::from_utf8(document).map_err(|error| NotXml(error.to_string()))?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    loop {
        match reader.read_event().map_err(|error| NotXml(error.to_string()))? {
            Event::Start(start) | Event::Empty(start) => each(&Element(start))?,
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

pub struct Element<'a>(BytesStart<'a>);

impl Element<'_> {
    pub fn is(&self, name: &str) -> bool {
        self.0.local_name().as_ref() == name
    }

    /// The value of the first attribute of this local name.
    pub fn attribute(&self, name: &str) -> Result<Option<String>, NotXml> {
        // That none is repeated is nobody's business here, and to check it takes quadratic time.
        for attribute in self.0.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| NotXml(error.to_string()))?;
            if attribute.key.local_name().as_ref() == name {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0);
                return value.map(|value| Some(value.into_owned())).map_err(|error| NotXml(error.to_string()));
            }
        }
        Ok(None)
    }
}
