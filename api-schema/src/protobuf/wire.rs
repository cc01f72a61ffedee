//! The wire format of Protocol Buffers: tags, numbers, length-delimited bytes.

use super::ProtobufError;

/// Reads one message.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// The wire type of numbers.
pub(crate) const VARINT: u8 = 0;
/// The wire type of 64-bit values.
pub(crate) const FIXED64: u8 = 1;
/// The wire type of everything with a length.
pub(crate) const BYTES: u8 = 2;
/// The wire type of 32-bit values.
pub(crate) const FIXED32: u8 = 5;

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// The next field's number and wire type; none at the end.
    pub(crate) fn tag(&mut self) -> Result<Option<(u32, u8)>, ProtobufError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| ProtobufError::Overflow)?;
        Ok(Some((number, (tag & 7) as u8)))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0u64;
        for (index, byte) in self.rest.iter().enumerate() {
            if index == 10 {
                return Err(ProtobufError::Overflow);
            }
            value |= u64::from(byte & 0x7f) << (7 * index as u32);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(ProtobufError::Truncated)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Bytes with their length, which is what the wire type has to say.
    pub(crate) fn bytes(&mut self, wire: u8, field: &str) -> Result<&'a [u8], ProtobufError> {
        if wire != BYTES {
            return Err(ProtobufError::WireType { wire, field: field.to_owned() });
        }
        let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Overflow)?;
        self.take(length)
    }

    /// A 64-bit value.
    pub(crate) fn fixed64(&mut self) -> Result<u64, ProtobufError> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A 32-bit value.
    pub(crate) fn fixed32(&mut self) -> Result<u32, ProtobufError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    /// Passes over a value. Groups, which Kubernetes never writes, are refused.
    pub(crate) fn skip(&mut self, wire: u8) -> Result<(), ProtobufError> {
        match wire {
            VARINT => self.varint().map(drop),
            FIXED64 => self.take(8).map(drop),
            BYTES => self.bytes(wire, "").map(drop),
            FIXED32 => self.take(4).map(drop),
            _ => Err(ProtobufError::WireType { wire, field: "unknown".to_owned() }),
        }
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Passes over a value, and gives all that was passed over since `begin`, which was [`Self::rest`] then.
    pub(crate) fn skipped_since(&mut self, begin: &'a [u8], wire: u8) -> Result<&'a [u8], ProtobufError> {
        self.skip(wire)?;
        Ok(&begin[..begin.len() - self.rest.len()])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Writes one message.
#[derive(Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn starting_with(prefix: &[u8]) -> Writer {
        Writer { out: prefix.to_vec() }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Adds what has been written elsewhere.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn tag(&mut self, number: u32, wire: u8) {
        self.raw_varint(u64::from(number) << 3 | u64::from(wire));
    }

    pub(crate) fn varint(&mut self, number: u32, value: u64) {
        self.tag(number, VARINT);
        self.raw_varint(value);
    }

    pub(crate) fn fixed64(&mut self, number: u32, value: u64) {
        self.tag(number, FIXED64);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, BYTES);
        self.raw_varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }
}
