//! Measures the wall time of a call.

use std::time::{Duration, Instant};

/// Calls `call`, and returns its value and the wall time that it took.
///
/// # Errors
///
/// The errors of the call.
#[expect(clippy::disallowed_methods, reason = "the speeds of a report are figures of the wall clock")]
pub fn clocked<T, E>(call: impl FnOnce() -> Result<T, E>) -> Result<(T, Duration), E> {
    let start = Instant::now();
    let value = call()?;
    Ok((value, start.elapsed()))
}

/// A function that says whether `limit` of wall time has passed since this call.
#[expect(clippy::disallowed_methods, reason = "a user waits for it: the limit is one of real time")]
pub fn deadline(limit: Duration) -> impl FnMut() -> bool {
    let start = Instant::now();
    move || start.elapsed() >= limit
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn a_call_takes_at_least_as_long_as_it_sleeps() {
        let nap = Duration::from_millis(5);
        let rested = || {
            sleep(nap);
            Ok::<_, ()>("rested")
        };
        let (value, wall) = clocked(rested).unwrap();
        assert_eq!(value, "rested");
        assert!(wall >= nap, "{wall:?}");
    }

    #[test]
    fn the_error_of_the_call_is_passed_on() {
        assert_eq!(clocked(|| Err::<(), _>("broken")), Err("broken"));
    }
}
