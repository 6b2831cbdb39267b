//! Names of files in `Content-Disposition`: of downloads (RFC 6266) and of the parts of a form.

use actix_web::http::header::{Charset, ContentDisposition, ExtendedValue, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands for itself in `filename*` (`attr-char` of RFC 8187); actix-web lets more through, such as `=`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// A file to be kept under that name. What is not plain text of one line follows as `filename*`, for all who know it.
pub fn attachment(name: &str) -> HeaderValue {
    let plain = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect::<String>();
    let full = name.chars().map(|c| if c.is_control() || is_separator(c) { '_' } else { c }).collect::<String>();
    let mut header = format!("attachment; filename=\"{plain}\"");
    if full != plain {
        header += &format!("; filename*=UTF-8''{}", utf8_percent_encode(&full, ENCODED));
    }
    HeaderValue::try_from(header).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Means the same to every reader, between quotes and as part of a path; some decode `%`.
fn is_plain(c: char) -> bool {
    (c.is_ascii_graphic() || c == ' ') && !is_separator(c) && !matches!(c, '"' | '%')
}

fn is_separator(c: char) -> bool {
    matches!(c, '/' | '\\')
}

/// How the sender of a form calls the file of this part: `filename*` where there is one that can be read.
pub fn file_name(disposition: &ContentDisposition) -> Option<String> {
    let extended = disposition.get_filename_ext().and_then(decoded);
    extended.or_else(|| disposition.get_filename().map(str::to_owned))
}

fn decoded(value: &ExtendedValue) -> Option<String> {
    match &value.charset {
        Charset::Iso_8859_1 | Charset::Us_Ascii => Some(value.value.iter().map(|&byte| char::from(byte)).collect()),
        charset if charset.to_string().eq_ignore_ascii_case("utf-8") => String::from_utf8(value.value.clone()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_plainly_and_as_it_is() {
        for (name, header) in [
            ("plan 1.xlsx", "attachment; filename=\"plan 1.xlsx\""),
            ("Größe €.csv", "attachment; filename=\"Gr__e _.csv\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%E2%82%AC.csv"),
            ("東京.csv", "attachment; filename=\"__.csv\"; filename*=UTF-8''%E6%9D%B1%E4%BA%AC.csv"),
            ("a\"b.csv", "attachment; filename=\"a_b.csv\"; filename*=UTF-8''a%22b.csv"),
            ("50%.csv", "attachment; filename=\"50_.csv\"; filename*=UTF-8''50%25.csv"),
            ("it's; x=(1).csv", "attachment; filename=\"it's; x=(1).csv\""),
            ("a\r\nSet-Cookie: x\t\u{0}.csv", "attachment; filename=\"a__Set-Cookie: x__.csv\""),
            ("../..\\etc/passwd", "attachment; filename=\".._.._etc_passwd\""),
            ("\u{e9}\u{85}*'.csv", "attachment; filename=\"__*'.csv\"; filename*=UTF-8''%C3%A9_%2A%27.csv"),
        ] {
            assert_eq!(attachment(name).to_str().unwrap(), header, "{name:?}");
        }
    }

    #[test]
    fn the_extended_name_of_a_part_wins() {
        let read = |text: &'static [u8]| {
            file_name(&ContentDisposition::from_raw(&HeaderValue::from_bytes(text).unwrap()).unwrap())
        };
        for (header, name) in [
            (&b"form-data; name=\"file\""[..], None),
            (b"form-data; name=\"file\"; filename=\"plain.csv\"", Some("plain.csv")),
            (b"form-data; name=file; filename=plain.csv", Some("plain.csv")),
            ("form-data; name=\"file\"; filename=\"Größe.csv\"".as_bytes(), Some("Größe.csv")),
            (b"form-data; name=\"file\"; filename=\"x\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.csv", Some("Größe.csv")),
            (b"form-data; name=\"file\"; filename*=utf-8'de'Gr%c3%b6%C3%9Fe.csv; filename=\"x\"", Some("Größe.csv")),
            (b"form-data; name=\"file\"; filename*=ISO-8859-1''Gr%F6%DFe.csv", Some("Größe.csv")),
            (b"form-data; name=\"file\"; filename=\"x\"; filename*=UTF-8''%FF", Some("x")),
            (b"form-data; name=\"file\"; filename=\"x\"; filename*=KOI8-R''%C1", Some("x")),
            (b"form-data; name=\"file\"; filename=\"a\\\"b.csv\"", Some("a\"b.csv")),
            (b"form-data; name=\"file\"; filename=\"50%25.csv\"", Some("50%25.csv")),
        ] {
            assert_eq!(read(header).as_deref(), name, "{}", String::from_utf8_lossy(header));
        }
    }
}
