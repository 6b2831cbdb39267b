//! Numbers within the bounds, and in the steps, that a schema asks for. Pure.

use serde_json::{Number, Value, json};

use crate::shape::Shape;

const EXTREME: f64 = 1e15;

/// The bounds that are nearest, and whether they belong to what is allowed.
fn bounds(shape: &Shape) -> ((f64, bool), (f64, bool)) {
    let get = |key| shape.get(key).and_then(Value::as_f64);
    let low = match (get("minimum"), get("exclusiveMinimum")) {
        (Some(min), Some(above)) if above >= min => (above, false),
        (None, Some(above)) => (above, false),
        (min, _) => (min.unwrap_or(-EXTREME), true),
    };
    let high = match (get("maximum"), get("exclusiveMaximum")) {
        (Some(max), Some(below)) if below <= max => (below, false),
        (None, Some(below)) => (below, false),
        (max, _) => (max.unwrap_or(EXTREME), true),
    };
    (low, high)
}

pub fn integer(shape: &Shape, preferred: i64) -> Result<Value, String> {
    let ((low, low_in), (high, high_in)) = bounds(shape);
    let low = (if low_in { low.ceil() } else { low.floor() + 1.0 }).clamp(-EXTREME, EXTREME) as i64;
    let high = (if high_in { high.floor() } else { high.ceil() - 1.0 }).clamp(-EXTREME, EXTREME) as i64;
    let none = || format!("no whole number is between {low} and {high} in the steps asked for");
    if low > high {
        return Err(none());
    }
    let near = preferred.clamp(low, high);
    let Some(step) = shape.get("multipleOf").and_then(Value::as_f64).filter(|step| *step > 0.0) else {
        return Ok(json!(near));
    };
    let whole = whole_multiple(step).ok_or_else(none)?;
    let up = near.div_euclid(whole) * whole;
    let fits = [up, up + whole].into_iter().find(|value| (low..=high).contains(value));
    fits.map(|value| json!(value)).ok_or_else(none)
}

/// The smallest whole number that is a multiple of a step: of 1.5 it is 3.
fn whole_multiple(step: f64) -> Option<i64> {
    let text = format!("{step:e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent = exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let multiple = if exponent >= 0 { digits.checked_mul(power)? } else { digits / common_divisor(digits, power) };
    i64::try_from(multiple).ok().filter(|multiple| *multiple <= EXTREME as i64)
}

fn common_divisor(one: i128, other: i128) -> i128 {
    if other == 0 { one } else { common_divisor(other, one % other) }
}

pub fn number(shape: &Shape, preferred: i64) -> Result<Value, String> {
    let ((low, low_in), (high, high_in)) = bounds(shape);
    let fits = |value: &f64| (*value > low || low_in && *value == low) && (*value < high || high_in && *value == high);
    let near = (preferred as f64).clamp(low.min(high), high.max(low));
    let candidates = match shape.get("multipleOf").and_then(Value::as_f64).filter(|step| *step > 0.0) {
        Some(step) => {
            vec![(near / step).floor() * step, (near / step).ceil() * step, (near / step + 1.0).ceil() * step]
        }
        None => vec![near, f64::midpoint(low, high), low + 1.0, high - 1.0],
    };
    let found =
        candidates.into_iter().find(fits).ok_or_else(|| format!("no number between {low} and {high} was found"))?;
    Ok(if found.fract() == 0.0 && found.abs() < EXTREME { json!(found as i64) } else { json!(Number::from_f64(found)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_whole_without_searching() {
        for (step, expected) in [
            (1.5, Some(3)),
            (0.1, Some(1)),
            (7.0, Some(7)),
            (2e3, Some(2_000)),
            (0.000_000_3, Some(3)),
            (1.000_000_7, Some(10_000_007)),
            (1e300, None),
            (1e-300, None),
            (std::f64::consts::PI, None),
        ] {
            assert_eq!(whole_multiple(step), expected, "{step}");
        }
    }
}
