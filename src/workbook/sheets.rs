//! The sheets of a workbook.

use std::io::{self, BufReader, Read, Seek};

use zip::ZipArchive;

use super::relations::Relations;
use super::xml::{NotXml, elements};
use crate::unzip::{self, OpenZipError, ReadEntryError};

/// Entries of the zip file: sheets, drawings, pictures.
const MAX_ENTRIES: usize = 20_000;
/// Bytes of a part that tells of sheets. A sheet takes about a hundred.
const MAX_PART: u64 = 4 << 20;
const MAX_SHEETS: usize = 5_000;
/// Characters. Spreadsheet programs allow 31.
const MAX_NAME: usize = 255;

/// One with cells; charts that have a sheet of their own are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub name: String,
    /// Its place among all sheets, charts included, from 0.
    pub index: usize,
    pub visibility: Visibility,
    /// The one that is shown first.
    pub is_active: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    Visible,
    Hidden,
    /// Hidden, and not offered to be shown.
    VeryHidden,
}

#[derive(Debug, thiserror::Error)]
pub enum SheetsError {
    #[error("the document is no workbook: {0}")]
    NotAWorkbook(#[source] OpenZipError),
    #[error("the workbook's part {part:?} cannot be read: {source}")]
    Part { part: String, source: ReadEntryError },
    #[error("the workbook's part {part:?} is {source}")]
    Xml { part: String, source: NotXml },
    #[error("the workbook has more than {MAX_SHEETS} sheets, or one whose name has more than {MAX_NAME} characters")]
    TooMany,
    #[error("the document cannot be read")]
    Io(#[from] io::Error),
}

/// In their order. Blocks.
pub fn sheets(file: impl Read + Seek) -> Result<Vec<Sheet>, SheetsError> {
    let mut archive = unzip::open(BufReader::new(file), MAX_ENTRIES).map_err(|error| match error {
        OpenZipError::Io(error) => SheetsError::Io(error),
        error => SheetsError::NotAWorkbook(error),
    })?;
    let package = relations(&mut archive, "_rels/.rels")?;
    let target = package.target("officeDocument").unwrap_or("xl/workbook.xml");
    let part = target.trim_start_matches('/');
    let of_workbook = match part.rsplit_once('/') {
        Some((directory, name)) => format!("{directory}/_rels/{name}.rels"),
        None => format!("_rels/{part}.rels"),
    };
    let kinds = relations(&mut archive, &of_workbook)?;
    let document = read(&mut archive, part)?;
    parse(&document, &kinds).map_err(|error| match error {
        Fault::Xml(source) => SheetsError::Xml { part: part.to_owned(), source },
        Fault::TooMany => SheetsError::TooMany,
    })
}

/// None where there is no such part: programs find workbooks without it.
fn relations<R: Read + Seek>(archive: &mut ZipArchive<R>, part: &str) -> Result<Relations, SheetsError> {
    match read(archive, part) {
        Err(SheetsError::Part { source: ReadEntryError::Missing, .. }) => Ok(Relations::default()),
        document => {
            let xml = |source| SheetsError::Xml { part: part.to_owned(), source };
            Relations::parse(&document?).map_err(xml)
        }
    }
}

fn read<R: Read + Seek>(archive: &mut ZipArchive<R>, part: &str) -> Result<Vec<u8>, SheetsError> {
    unzip::read(archive, part, MAX_PART).map_err(|source| SheetsError::Part { part: part.to_owned(), source })
}

enum Fault {
    Xml(NotXml),
    TooMany,
}

impl From<NotXml> for Fault {
    fn from(error: NotXml) -> Self {
        Self::Xml(error)
    }
}

fn parse(document: &[u8], kinds: &Relations) -> Result<Vec<Sheet>, Fault> {
    let (mut found, mut seen, mut active, mut too_many) = (Vec::new(), 0, None, false);
    elements(document, |element| {
        // Further views are further windows.
        if element.is("workbookView") && active.is_none() {
            active = Some(element.attribute("activeTab")?.and_then(|text| text.parse().ok()).unwrap_or(0));
        }
        if element.is("sheet") {
            let (index, name) = (seen, element.attribute("name")?.unwrap_or_default());
            seen += 1;
            too_many |= seen > MAX_SHEETS || name.chars().count() > MAX_NAME;
            let kind = element.attribute("id")?.and_then(|id| kinds.is_of_kind(&id, "worksheet"));
            if kind.unwrap_or(true) && !too_many {
                let visibility = visibility(element.attribute("state")?.as_deref());
                found.push(Sheet { name, index, visibility, is_active: false });
            }
        }
        Ok(())
    })?;
    if too_many {
        return Err(Fault::TooMany);
    }
    for sheet in &mut found {
        sheet.is_active = sheet.index == active.unwrap_or(0);
    }
    Ok(found)
}

fn visibility(state: Option<&str>) -> Visibility {
    match state {
        Some("hidden") => Visibility::Hidden,
        Some("veryHidden") => Visibility::VeryHidden,
        _ => Visibility::Visible,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    const RELS: &str = r#"<Relationships xmlns="r"><Relationship Id="rId1" Type="http://purl.oclc.org/ooxml/officeDocument/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://x/chartsheet" Target="c.xml"/></Relationships>"#;

    fn zip(parts: &[(&str, &[u8])]) -> Cursor<Vec<u8>> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in parts {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(workbook: &str) -> Result<Vec<Sheet>, SheetsError> {
        sheets(zip(&[("xl/workbook.xml", workbook.as_bytes()), ("xl/_rels/workbook.xml.rels", RELS.as_bytes())]))
    }

    #[test]
    fn sheets_with_cells_are_listed_in_their_order() {
        let found = read(
            r#"<?xml version="1.0"?><x:workbook xmlns:x="m" xmlns:r="r"><x:bookViews><x:workbookView activeTab="2"/><x:workbookView activeTab="0"/></x:bookViews>
            <x:sheets><x:sheet name="A &amp; &quot;B&quot;" sheetId="1" r:id="rId1"/><x:sheet name="Chart" r:id="rId2"/>
            <x:sheet name="東京" r:id="rId9" state="hidden"/><x:sheet name="../../etc" state="veryHidden"/></x:sheets></x:workbook>"#,
        );
        let found = found.unwrap();
        let told: Vec<_> = found.iter().map(|sheet| (sheet.name.as_str(), sheet.index, sheet.is_active)).collect();
        assert_eq!(told, [("A & \"B\"", 0, false), ("東京", 2, true), ("../../etc", 3, false)]);
        use Visibility::{Hidden, VeryHidden, Visible};
        assert_eq!(found.iter().map(|sheet| sheet.visibility).collect::<Vec<_>>(), [Visible, Hidden, VeryHidden]);
    }

    #[test]
    fn the_workbook_is_where_the_package_says() {
        let root = br#"<Relationships><Relationship Id="a" Type="http://x/officeDocument" Target="/other/book.xml"/></Relationships>"#;
        let book = br#"<workbook><sheets><sheet name="One"/></sheets></workbook>"#;
        let found = sheets(zip(&[("_rels/.rels", root), ("other/book.xml", book)])).unwrap();
        assert_eq!(found.len(), 1);
        assert!(matches!(sheets(zip(&[("xl/other.xml", book)])), Err(SheetsError::Part { .. })));
        assert!(matches!(sheets(Cursor::new(b"not a zip")), Err(SheetsError::NotAWorkbook(_))));
        assert!(matches!(read("<workbook"), Err(SheetsError::Xml { .. })));
    }

    #[test]
    fn what_is_out_of_proportion_is_refused_and_costs_little() {
        let bomb = vec![b' '; 200 << 20];
        let large = sheets(zip(&[("xl/workbook.xml", &bomb)]));
        assert!(matches!(large, Err(SheetsError::Part { source: ReadEntryError::TooLarge { .. }, .. })));
        let crowd = format!("<workbook>{}</workbook>", "<sheet name='a'/>".repeat(MAX_SHEETS + 1));
        assert!(matches!(read(&crowd), Err(SheetsError::TooMany)));
        let wide = format!("<workbook><sheet {}/></workbook>", "a='' ".repeat(500_000));
        assert_eq!(read(&wide).unwrap().len(), 1);
        let laughs = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><workbook><sheet name='&b;'/></workbook>";
        assert!(matches!(read(laughs), Err(SheetsError::Xml { .. })));
        let entries: Vec<_> = (0..MAX_ENTRIES + 1).map(|number| (number.to_string(), Vec::new())).collect();
        let entries: Vec<_> = entries.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        assert!(matches!(sheets(zip(&entries)), Err(SheetsError::NotAWorkbook(OpenZipError::TooManyEntries { .. }))));
    }
}
