//! Clauses of standards from which a server can depart without harm. A departure from one of them is *lax*: it is
//! listed, and does not count for the verdict. `PROTOCOL.md` lists the clauses and the reasons, in the section "Two
//! degrees".

use crate::oracle::guarantee::Guarantee;
use crate::wire::offence::Offence;

/// A clause of a standard from which a server can depart without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clause {
    /// A client that breaks a rule gets a Close before the connection ends.
    CloseAfterOffence,
    /// The Close after an offence names the offence with a status code.
    CodeAfterOffence,
    /// A Close whose reason is not UTF-8 is answered with 1007.
    ReasonIsUtf8,
    /// A Close with a code or payload that must not be sent is answered with 1002.
    CodeMayBeSent,
    /// The answer to a Close has the status code of that Close.
    AnswerHasCode,
    /// The Close at a shutdown has a status code.
    CodeAtShutdown,
    /// Only version 13 is upgraded.
    VersionIs13,
    /// Only a GET is upgraded.
    MethodIsGet,
    /// Only a request with a `Sec-WebSocket-Key` is upgraded.
    RequestHasKey,
}

impl Clause {
    /// All clauses.
    pub const ALL: [Self; 9] = [
        Self::CloseAfterOffence,
        Self::CodeAfterOffence,
        Self::ReasonIsUtf8,
        Self::CodeMayBeSent,
        Self::AnswerHasCode,
        Self::CodeAtShutdown,
        Self::VersionIs13,
        Self::MethodIsGet,
        Self::RequestHasKey,
    ];

    /// The clause from which a server departs without harm that answers an offence otherwise than with the Close that
    /// is due: with a Close of this code (the inner `None`: without one), or with none at all. `None` if the answer
    /// hurts.
    pub(crate) fn of_answer(offence: Offence, close: Option<Option<u16>>) -> Option<Self> {
        match (offence, close) {
            // Clients report these as something else.
            (_, Some(Some(1005 | 1006 | 1015))) => None,
            (Offence::BadUtf8InClose, _) => Some(Self::ReasonIsUtf8),
            (Offence::ForbiddenCloseCode | Offence::HalfCloseCode, _) => Some(Self::CodeMayBeSent),
            (_, Some(None)) => Some(Self::CodeAfterOffence),
            // 1008 is the code for all that no other code fits, and RFC 6455 section 5.1 names none for this offence.
            (_, Some(Some(1008))) | (Offence::Unmasked, Some(Some(1003 | 1007..=1011))) => {
                Some(Self::CodeAfterOffence)
            }
            (_, None) => Some(Self::CloseAfterOffence),
            _ => None,
        }
    }

    /// The guarantee that a departure breaks where laxity counts.
    pub const fn guarantee(self) -> Guarantee {
        match self {
            Self::CodeAtShutdown => Guarantee::G14,
            _ => Guarantee::G12,
        }
    }

    /// The section of the standard.
    pub const fn section(self) -> &'static str {
        match self {
            Self::CloseAfterOffence => "RFC 6455 §7.1.7",
            Self::CodeAfterOffence => "RFC 6455 §7.4.1",
            Self::ReasonIsUtf8 => "RFC 6455 §8.1",
            Self::CodeMayBeSent => "RFC 6455 §7.4.2",
            Self::AnswerHasCode => "RFC 6455 §5.5.1",
            Self::CodeAtShutdown => "RFC 6455 §7.4.1",
            Self::VersionIs13 => "RFC 6455 §4.4",
            Self::MethodIsGet => "RFC 6455 §4.1",
            Self::RequestHasKey => "RFC 6455 §4.2.1",
        }
    }

    /// What the clause asks for, in one sentence.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::CloseAfterOffence => "a client that breaks a rule gets a Close before the connection ends",
            Self::CodeAfterOffence => "the Close after an offence has the status code of the offence",
            Self::ReasonIsUtf8 => "a Close whose reason is not UTF-8 is answered with 1007",
            Self::CodeMayBeSent => "a Close with a code that must not be sent is answered with 1002",
            Self::AnswerHasCode => "the answer to a Close repeats its status code",
            Self::CodeAtShutdown => "the Close at a shutdown has the status code 1001",
            Self::VersionIs13 => "a request of another version than 13 is refused with 426",
            Self::MethodIsGet => "a request that is not a GET is refused",
            Self::RequestHasKey => "a request without Sec-WebSocket-Key is refused with 400",
        }
    }
}

/// How often a server departed from a clause without harm, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lapse {
    /// The clause.
    pub clause: Clause,
    /// How often.
    pub count: u64,
    /// What was observed, each in one sentence, without repetitions.
    pub details: Vec<String>,
}

#[cfg(test)]
mod tests {
    use carillon_server::PROTOCOL;

    use super::*;

    #[test]
    fn an_answer_without_a_code_is_lax_and_one_that_names_something_else_is_not() {
        let answer = |offence, close| Clause::of_answer(offence, close).map(|clause| clause.section());
        assert_eq!(answer(Offence::Unmasked, None), Some("RFC 6455 §7.1.7"));
        assert_eq!(answer(Offence::Unmasked, Some(None)), Some("RFC 6455 §7.4.1"));
        assert_eq!(answer(Offence::Unmasked, Some(Some(1000))), None);
        assert_eq!(answer(Offence::Unmasked, Some(Some(1003))), Some("RFC 6455 §7.4.1"));
        assert_eq!(answer(Offence::BadUtf8, Some(Some(1008))), Some("RFC 6455 §7.4.1"));
        assert_eq!(answer(Offence::BadUtf8, Some(Some(1002))), None);
        assert_eq!(answer(Offence::BadUtf8InClose, Some(Some(1002))), Some("RFC 6455 §8.1"));
        assert_eq!(answer(Offence::ForbiddenCloseCode, Some(Some(5000))), Some("RFC 6455 §7.4.2"));
        assert_eq!(answer(Offence::ForbiddenCloseCode, Some(Some(1005))), None);
    }

    #[test]
    fn protocol_md_lists_every_clause_with_its_section() {
        let (_, section) = PROTOCOL.split_once("\n## Two degrees\n").expect("a section on the degrees");
        let section = section.split("\n## ").next().unwrap_or_default();
        for clause in Clause::ALL {
            let row = format!("| {} | {} |", clause.rule(), clause.section().trim_start_matches("RFC 6455 "));
            assert!(section.contains(&row), "PROTOCOL.md lacks the row {row}");
        }
    }
}
