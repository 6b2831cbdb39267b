//! As much of a workbook as a test needs: the cells of its first sheet, as text.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use zip::ZipArchive;

/// The rows of the first sheet by the names in its first row; an empty cell is an empty text.
pub fn records(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut archive = ZipArchive::new(File::open(path).expect("there is a workbook")).expect("it is a zip file");
    let mut xml = String::new();
    let mut sheet = archive.by_name("xl/worksheets/sheet1.xml").expect("there is a sheet");
    sheet.read_to_string(&mut xml).expect("it is text");
    let mut rows = xml.split("</row>").filter(|piece| piece.contains("<row ")).map(cells);
    let names = rows.next().expect("there is a header");
    let record = |row: Vec<String>| names.iter().cloned().zip(row.into_iter().chain(std::iter::repeat(String::new())));
    rows.map(|row| record(row).collect()).collect()
}

/// Texts stand within the cells, as the engine writes them.
fn cells(row: &str) -> Vec<String> {
    let mut cells = Vec::new();
    for piece in row.split("<c ").skip(1) {
        let (tag, content) = piece.split_once('>').expect("tags end");
        let place = tag.split("r=\"").nth(1).expect("cells have places");
        cells.resize(column(place), String::new());
        cells.push(if tag.ends_with('/') { String::new() } else { text(content) });
    }
    cells
}

/// `C7` is in column 2.
fn column(place: &str) -> usize {
    let letters = place.bytes().take_while(u8::is_ascii_uppercase);
    letters.fold(0, |column, letter| column * 26 + usize::from(letter - b'A') + 1) - 1
}

/// What is left when the tags are gone.
fn text(xml: &str) -> String {
    let plain: String = xml.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text)).collect();
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.iter().fold(plain, |text, (entity, sign)| text.replace(entity, sign))
}
