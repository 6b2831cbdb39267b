//! Text for a terminal. Pure.

/// `1.2 s`, `3 m 04 s`.
pub fn seconds(milliseconds: u64) -> String {
    match milliseconds {
        0..60_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        _ => format!("{} m {:02} s", milliseconds / 60_000, milliseconds % 60_000 / 1000),
    }
}
