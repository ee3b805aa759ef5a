//! DNS messages (RFC 1035), as much of them as a server of addresses needs: one question in, answers out.

use std::net::Ipv4Addr;

pub(super) const TYPE_A: u16 = 1;
pub(super) const TYPE_PTR: u16 = 12;
pub(super) const TYPE_AAAA: u16 = 28;
const TYPE_OPT: u16 = 41;
const CLASS_IN: u16 = 1;
const HEADER: usize = 12;
/// Largest answer over UDP to a client that does not say it takes more.
const UDP_SIZE: usize = 512;
/// Seconds an answer may be remembered, as Docker says.
const TTL: u32 = 600;
const RESPONSE: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const OPCODE: u16 = 0x7800;

/// Result codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    ServerFailure = 2,
    Refused = 5,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) id: u16,
    /// In lower case, without the final dot.
    pub(super) name: String,
    pub(super) kind: u16,
    flags: u16,
    question_end: usize,
    udp_size: usize,
}

/// One record of an answer to the name that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Address(Ipv4Addr),
    Name(String),
}

impl Query {
    /// Reads a standard query with one question of the Internet class; anything else is `None`.
    pub(super) fn parse(bytes: &[u8]) -> Option<Query> {
        let flags = word(bytes, 2)?;
        if flags & (RESPONSE | OPCODE) != 0 || word(bytes, 4)? != 1 {
            return None;
        }
        let (name, end) = name_at(bytes, HEADER)?;
        let (kind, class) = (word(bytes, end)?, word(bytes, end + 2)?);
        let question_end = end + 4;
        if class != CLASS_IN {
            return None;
        }
        let udp_size = advertised_size(bytes, question_end).unwrap_or(UDP_SIZE).clamp(UDP_SIZE, 4096);
        Some(Query { id: word(bytes, 0)?, name, kind, flags, question_end, udp_size })
    }

    /// The address a reverse lookup asks about.
    pub(super) fn reverse(&self) -> Option<Ipv4Addr> {
        let digits = self.name.strip_suffix(".in-addr.arpa")?;
        let [d, c, b, a]: [u8; 4] = digits.parse::<Ipv4Addr>().ok()?.octets();
        Some(Ipv4Addr::new(a, b, c, d))
    }

    /// The reply to this query, whose bytes are `asked`. Over UDP, answers that do not fit are left out and the
    /// client is told to ask by TCP.
    pub(super) fn reply(&self, asked: &[u8], code: Code, answers: &[Answer], tcp: bool) -> Vec<u8> {
        let limit = if tcp { usize::from(u16::MAX) } else { self.udp_size };
        let mut flags = RESPONSE | RECURSION_AVAILABLE | (self.flags & RECURSION_DESIRED) | code as u16;
        let mut bytes = Vec::with_capacity(UDP_SIZE);
        bytes.extend_from_slice(&self.id.to_be_bytes());
        bytes.extend_from_slice(&[0; 10]);
        bytes.extend_from_slice(asked.get(HEADER..self.question_end).unwrap_or_default());
        let mut count = 0u16;
        for answer in answers {
            let record = answer.record();
            if bytes.len() + record.len() > limit {
                flags |= TRUNCATED;
                break;
            }
            bytes.extend_from_slice(&record);
            count += 1;
        }
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[4..6].copy_from_slice(&1u16.to_be_bytes());
        bytes[6..8].copy_from_slice(&count.to_be_bytes());
        bytes
    }
}

impl Answer {
    fn record(&self) -> Vec<u8> {
        let (kind, data) = match self {
            Answer::Address(ip) => (TYPE_A, ip.octets().to_vec()),
            Answer::Name(name) => (TYPE_PTR, encode_name(name)),
        };
        // The name is a pointer to the question's.
        let mut bytes = vec![0xc0, 0x0c];
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
        bytes.extend_from_slice(&TTL.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(&data);
        bytes
    }
}

/// Replaces the number of a message.
pub(super) fn set_id(bytes: &mut [u8], id: u16) {
    if let Some(field) = bytes.get_mut(..2) {
        field.copy_from_slice(&id.to_be_bytes());
    }
}

/// Whether `reply` answers `query`: same number and same question.
pub(super) fn answers(query: &[u8], reply: &[u8]) -> bool {
    let question = |bytes: &[u8]| {
        let (name, end) = name_at(bytes, HEADER)?;
        Some((word(bytes, 0)?, name, word(bytes, end)?))
    };
    let response = word(reply, 2).is_some_and(|flags| flags & RESPONSE != 0);
    response && question(query).is_some() && question(query) == question(reply)
}

/// Whether a server could not or would not answer, so that another may be asked.
pub(super) fn is_refusal(reply: &[u8]) -> bool {
    word(reply, 2)
        .is_none_or(|flags| flags & 0xf == Code::ServerFailure as u16 || flags & 0xf == Code::Refused as u16)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// The uncompressed name at an offset, and the offset behind it.
fn name_at(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        if length > 63 || name.len() + length > 254 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        for byte in bytes.get(at..at + length)? {
            name.push(char::from(byte.to_ascii_lowercase()));
        }
        at += length;
    }
}

/// The answer size an EDNS record after the question allows.
fn advertised_size(bytes: &[u8], question_end: usize) -> Option<usize> {
    // Only looked for where a query has it: directly behind the question.
    let additional = word(bytes, 10)? > 0 && word(bytes, 6)? == 0 && word(bytes, 8)? == 0;
    let is_opt = *bytes.get(question_end)? == 0 && word(bytes, question_end + 1)? == TYPE_OPT;
    (additional && is_opt).then(|| word(bytes, question_end + 3).map(usize::from)).flatten()
}

/// A name as length-prefixed labels; what does not fit a label is cut.
fn encode_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
    bytes
}

/// A query for tests.
#[cfg(test)]
pub(super) fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend_from_slice(&RECURSION_DESIRED.to_be_bytes());
    bytes.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&encode_name(name));
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn question_and_answer() {
        let asked = question(0x1234, "Web.Net", TYPE_A);
        let query = Query::parse(&asked).unwrap();
        assert_eq!((query.name.as_str(), query.kind), ("web.net", TYPE_A));
        let reply = query.reply(&asked, Code::Ok, &[Answer::Address([172, 18, 0, 2].into())], false);
        assert_eq!(
            hex(&reply),
            "123481800001000100000000\
             03576562034e65740000010001\
             c00c0001000100000258\
             0004ac120002"
        );
        assert!(answers(&asked, &reply) && !answers(&asked, &asked));
        let other = Query::parse(&question(0x1234, "other", TYPE_A)).unwrap();
        assert!(!answers(&asked, &other.reply(&question(0x1234, "other", TYPE_A), Code::Ok, &[], false)));
    }

    #[test]
    fn reverse_lookup() {
        let asked = question(1, "2.0.18.172.in-addr.arpa", TYPE_PTR);
        let query = Query::parse(&asked).unwrap();
        assert_eq!(query.reverse(), Some([172, 18, 0, 2].into()));
        let reply = query.reply(&asked, Code::Ok, &[Answer::Name("web.net".into())], false);
        assert!(hex(&reply).ends_with("000903776562036e657400"));
        assert_eq!(Query::parse(&question(1, "x.in-addr.arpa", TYPE_PTR)).unwrap().reverse(), None);
    }

    #[test]
    fn long_answers_are_truncated_over_udp() {
        let mut asked = question(1, "many", TYPE_A);
        let all: Vec<_> = (0..100).map(|i| Answer::Address([10, 0, 0, i].into())).collect();
        let counts = |asked: &[u8], tcp| {
            let reply = Query::parse(asked).unwrap().reply(asked, Code::Ok, &all, tcp);
            (word(&reply, 6).unwrap(), word(&reply, 2).unwrap() & TRUNCATED != 0)
        };
        assert_eq!(counts(&asked, false), (30, true));
        assert_eq!(counts(&asked, true), (100, false));
        asked[11] = 1;
        asked.extend_from_slice(&[0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(counts(&asked, false), (100, false));
    }

    #[test]
    fn refusals() {
        let asked = question(1, "a", TYPE_A);
        let query = Query::parse(&asked).unwrap();
        assert!(is_refusal(&query.reply(&asked, Code::ServerFailure, &[], false)));
        assert!(!is_refusal(&query.reply(&asked, Code::Ok, &[], false)));
    }

    proptest! {
        #[test]
        fn parse_takes_anything(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(query) = Query::parse(&bytes) {
                query.reply(&bytes, Code::Ok, &[Answer::Name(query.name.clone())], false);
            }
            answers(&bytes, &bytes);
        }

        #[test]
        fn parse_reads_what_is_written(name in "[a-z0-9-]{1,20}(\\.[a-z0-9-]{1,20}){0,3}", kind in any::<u16>()) {
            let query = Query::parse(&question(7, &name, kind)).unwrap();
            prop_assert_eq!((query.name, query.kind, query.id), (name, kind, 7));
        }
    }
}
