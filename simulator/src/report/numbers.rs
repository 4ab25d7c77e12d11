//! Numbers in reports.

/// The number, rounded to this many decimal places.
pub(super) fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}

/// `amount` per second of a time that may be 0.
pub(super) fn per_second(amount: f64, seconds: f64) -> f64 {
    amount / seconds.max(1e-9)
}
