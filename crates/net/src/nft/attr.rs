//! Encoding of nfnetlink messages: a batch of messages with nested, padded attributes in network byte order.

use std::ops::RangeInclusive;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLA_F_NESTED: u16 = 0x8000;
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// IPv4 in the kernel's numbering of protocol families.
pub(super) const FAMILY: u8 = 2;

/// nftables messages that the kernel applies all or none.
pub(crate) struct Batch {
    pub(super) bytes: Vec<u8>,
    sequence: u32,
    last: Option<usize>,
}

impl Batch {
    pub(crate) fn new() -> Batch {
        let mut batch = Batch { bytes: Vec::with_capacity(4096), sequence: 0, last: None };
        batch.frame(BATCH_BEGIN, NLM_F_REQUEST, 0, SUBSYSTEM, |_| {});
        batch
    }

    /// Whether nothing was added yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// How many messages the finished batch has.
    pub(super) fn len(&self) -> u32 {
        self.sequence + 1
    }

    /// Adds one nftables message.
    pub(super) fn message(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        self.last = Some(self.bytes.len());
        self.frame(SUBSYSTEM << 8 | kind, NLM_F_REQUEST | flags, FAMILY, 0, fill);
    }

    /// The whole batch, numbered after `base`, and the numbers from its first message to the one whose
    /// acknowledgement ends the answer.
    ///
    /// Only the last message asks for one: errors are reported for every message anyway, and a long batch
    /// of acknowledgements would overflow the receive buffer.
    pub(super) fn finish(mut self, base: u32) -> (Vec<u8>, RangeInclusive<u32>) {
        let last = self.sequence;
        if let Some(at) = self.last {
            let flags = u16::from_ne_bytes([self.bytes[at + 6], self.bytes[at + 7]]) | NLM_F_ACK;
            self.bytes[at + 6..at + 8].copy_from_slice(&flags.to_ne_bytes());
        }
        self.frame(BATCH_END, NLM_F_REQUEST, 0, SUBSYSTEM, |_| {});
        let mut at = 0;
        while let Some(header) = self.bytes.get_mut(at..at + 12) {
            let number = |field: &[u8]| u32::from_ne_bytes([field[0], field[1], field[2], field[3]]);
            let (length, sequence) = (number(header), number(&header[8..]) + base);
            header[8..].copy_from_slice(&sequence.to_ne_bytes());
            at += length as usize;
        }
        (self.bytes, base + 1..=base + last)
    }

    fn frame(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        fill: impl FnOnce(&mut Attributes<'_>),
    ) {
        self.sequence += 1;
        frame(&mut self.bytes, kind, flags, self.sequence, family, resource, fill);
    }
}

/// A single message outside a batch, for lookups.
pub(super) fn request(
    kind: u16,
    flags: u16,
    sequence: u32,
    fill: impl FnOnce(&mut Attributes<'_>),
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    frame(&mut bytes, SUBSYSTEM << 8 | kind, NLM_F_REQUEST | flags, sequence, FAMILY, 0, fill);
    bytes
}

/// Appends one netlink message with an nfgenmsg header.
pub(crate) fn frame(
    bytes: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    family: u8,
    resource: u16,
    fill: impl FnOnce(&mut Attributes<'_>),
) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&[family, 0]);
    bytes.extend_from_slice(&resource.to_be_bytes());
    fill(&mut Attributes { bytes });
    let length = u32::try_from(bytes.len() - start).unwrap_or(u32::MAX);
    bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// Writes attributes.
pub(crate) struct Attributes<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Attributes<'_> {
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        fill(&mut Attributes { bytes: self.bytes });
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The attributes of a received message: type without flags, and value.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}
