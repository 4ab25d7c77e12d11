//! Converts reports of schema 1, in which seeds are numbers, to the present schema.

use serde_json::Value;

use super::summary::SCHEMA_VERSION;

/// The report of schema 1 in the present schema. Fields that schema 1 lacks have defaults.
pub(super) fn converted(mut report: Value) -> Value {
    report["schema_version"] = SCHEMA_VERSION.into();
    for name in ["seed", "from"] {
        report.get_mut(name).into_iter().for_each(seed_to_text);
    }
    let failures = report.get_mut("failures").and_then(Value::as_array_mut);
    failures.into_iter().flatten().filter_map(|failure| failure.get_mut("seed")).for_each(seed_to_text);
    report
}

/// Turns a number into a string. What is no number stays, and is refused by the reader of the present schema.
fn seed_to_text(seed: &mut Value) {
    if let Some(number) = seed.as_u64() {
        *seed = number.to_string().into();
    }
}
