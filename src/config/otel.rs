//! Where traces go. The settings are read by every program, and taken only by one that was built with the feature `otel`:
//! in any other they are an error, so that nobody waits for traces that never come.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use super::reader::{Reader, SettingsError};
use super::value::{BaseUrl, MASK, Period, SettingValue, quoted};

/// How the names of these settings begin.
const PREFIX: &str = "otel_";
/// The feature that knows what to do with them.
const FEATURE: &str = "otel";

/// The collector of traces.
#[derive(Debug, Clone)]
pub struct OtelSettings {
    /// `ADE_OTEL_ENDPOINT`, unset: no traces. Its path is continued with `/v1/traces`.
    pub endpoint: Option<String>,
    /// `ADE_OTEL_HEADERS`, unset. What is sent with every request to it.
    pub headers: Vec<(String, SecretString)>,
    /// `ADE_OTEL_TIMEOUT`, `10s`. One request to it.
    pub timeout: Duration,
    /// `ADE_OTEL_SERVICE_NAME`, `ade`.
    pub service_name: String,
    /// `ADE_OTEL_SERVICE_INSTANCE`, unset: a new one for each start.
    pub service_instance: Option<String>,
    /// `ADE_OTEL_SAMPLE_RATIO`, `1`. Of the traces that begin here.
    pub sample_ratio: f64,
}

impl OtelSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, SettingsError> {
        if !cfg!(feature = "otel") {
            reader.refuse_given(PREFIX, FEATURE)?;
        }
        Ok(Self {
            endpoint: reader.optional::<BaseUrl>("otel_endpoint")?.map(|url| url.0),
            headers: reader.optional::<Headers>("otel_headers")?.unwrap_or_default().0,
            timeout: reader.required::<Period>("otel_timeout")?.0,
            service_name: reader.required("otel_service_name")?,
            service_instance: reader.optional("otel_service_instance")?,
            sample_ratio: reader.required::<Ratio>("otel_sample_ratio")?.0,
        })
    }
}

/// Names and values of headers as the variable `OTEL_EXPORTER_OTLP_HEADERS` has them. The values are secret.
#[derive(Debug, Clone, Default)]
struct Headers(Vec<(String, SecretString)>);

impl SettingValue for Headers {
    const ALLOWED: &'static str =
        "headers <name>=<value>, separated by commas; in a value %2C is a comma and %25 a percent sign";
    const IS_SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        text.split(',').map(header).collect::<Option<Vec<_>>>().map(Self)
    }

    fn to_toml(&self) -> String {
        quoted(MASK)
    }
}

fn header(text: &str) -> Option<(String, SecretString)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), percent_decode_str(value.trim()).decode_utf8().ok()?);
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let is_value = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    (is_name && is_value).then(|| (name.to_ascii_lowercase(), SecretString::from(value.as_ref())))
}

/// A part of a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ratio(f64);

impl SettingValue for Ratio {
    const ALLOWED: &'static str = "a number from 0 to 1, such as 0.05";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).map(Self)
    }

    fn to_toml(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn headers_are_names_and_values() {
        let read = |text| {
            let headers = Headers::parse(text)?.0;
            Some(headers.iter().map(|(name, value)| format!("{name}: {}", value.expose_secret())).collect::<Vec<_>>())
        };
        assert_eq!(read("api-key=abc").unwrap(), ["api-key: abc"]);
        assert_eq!(read("Authorization=Basic%20YTpi==, x=1%2C2").unwrap(), ["authorization: Basic YTpi==", "x: 1,2"]);
        assert_eq!(read("authorization=Bearer abc").unwrap(), ["authorization: Bearer abc"]);
        for text in ["", "api-key", "=abc", "a b=c", "a=", "a=%0d%0ab", "a=b,", "a=\u{e4}"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_ratio_is_a_part() {
        assert_eq!(["0", "0.25", "1"].map(|text| Ratio::parse(text).map(|ratio| ratio.0)), [0.0, 0.25, 1.0].map(Some));
        for text in ["-0.1", "1.1", "NaN", "inf", "half", ""] {
            assert_eq!(Ratio::parse(text), None, "{text}");
        }
    }
}
