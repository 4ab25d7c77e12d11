//! Seeds in JSON: strings of decimal digits, because many readers of JSON round numbers above 2^53.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes a seed as a string.
pub(super) fn serialize<S: Serializer>(seed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(seed)
}

/// Reads a seed from a string of decimal digits.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = Some(&text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        D::Error::custom(format!("the seed {text:?} is not a string of decimal digits below 2^64"))
    })
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder(#[serde(with = "super")] u64);

    #[test]
    fn every_seed_is_written_and_read_exactly() {
        for seed in [0, 1, (1 << 53) + 1, u64::MAX] {
            let written = serde_json::to_value(Holder(seed)).unwrap();
            assert_eq!(written, json!(seed.to_string()));
            assert_eq!(serde_json::from_value::<Holder>(written).unwrap(), Holder(seed));
        }
    }

    #[test]
    fn what_is_no_seed_is_refused() {
        for wrong in [json!(7), json!(""), json!("+7"), json!("0x7"), json!("18446744073709551616")] {
            assert!(serde_json::from_value::<Holder>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
