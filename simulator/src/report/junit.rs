//! Verdicts as JUnit XML.

use super::entries::{GuaranteeEntry, LaxEntry};
use super::summary::Summary;
use crate::markup::escaped;
use crate::oracle::verdict::Verdict;

/// The verdicts as one test suite with a test case for each guarantee.
///
/// A guarantee that is undecided or was not exercised counts as skipped. A lax departure is no failure: it stands in the
/// output of the test case of its guarantee, and the headlines stand in the output of the suite.
pub(crate) fn junit(name: &str, seconds: f64, summary: &Summary) -> String {
    let entries = &summary.guarantees;
    let count = |wanted: &[Verdict]| entries.iter().filter(|entry| wanted.contains(&entry.verdict)).count();
    let (failures, skipped) =
        (count(&[Verdict::Violated]), count(&[Verdict::NotExercised, Verdict::Undecided]));
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" \
         failures=\"{failures}\" skipped=\"{skipped}\" errors=\"0\" time=\"{seconds:.3}\">\n",
        escaped(name),
        entries.len()
    );
    for entry in entries {
        let name = escaped(&format!("{} {}", entry.id, entry.name));
        xml.push_str(&format!("  <testcase classname=\"carillon\" name=\"{name}\">"));
        xml.push_str(&result(entry));
        let lax: Vec<String> =
            summary.lax.iter().filter(|lax| lax.guarantee == entry.id).map(block).collect();
        xml.push_str(&system_out(&lax.join("\n")));
        xml.push_str("</testcase>\n");
    }
    let headlines = system_out(&summary.headlines.join("\n\n"));
    if !headlines.is_empty() {
        xml.push_str(&format!("  {headlines}\n"));
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// What is said about the verdict; nothing if the guarantee held.
fn result(entry: &GuaranteeEntry) -> String {
    match entry.verdict {
        Verdict::Held => String::new(),
        Verdict::Violated => {
            let message = escaped(entry.evidence.first().map_or("", String::as_str));
            format!("<failure message=\"{message}\">{}</failure>", escaped(&entry.evidence.join("\n")))
        }
        verdict => {
            let evidence = entry.shown_evidence();
            let reason = evidence.first().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("<skipped message=\"{}\"/>", escaped(&format!("{}{reason}", verdict.name())))
        }
    }
}

/// An entry as lines of text, with all its details.
fn block(entry: &LaxEntry) -> String {
    let details: String = entry.details.iter().map(|detail| format!("\n  {detail}")).collect();
    format!("lax: {}: {}{details}", entry.section, entry.sentence())
}

fn system_out(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<system-out>{}</system-out>", escaped(text)) }
}
