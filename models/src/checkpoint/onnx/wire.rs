//! The wire format of protocol buffers, read in place.
//!
//! A message is a slice of the file; its fields are handed out one by one and nothing is allocated, so that a file cannot make more of
//! itself than it is: a decoder that builds every message makes a hundred bytes of memory out of two in the file. Nothing recurses.
//!
//! # Source
//!
//! Protocol Buffers Documentation, *Encoding*.

use super::OnnxError;

/// Bytes of a message and where in the file they begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: u64,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    /// The number in the schema.
    pub(super) number: u32,
    /// First byte of the field in the file.
    pub(super) at: u64,
    value: Value<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64,
    Bytes(Message<'a>),
}

impl<'a> Message<'a> {
    /// The fields in the order of the file; nothing follows an error.
    pub(super) const fn fields(self) -> Fields<'a> {
        Fields { rest: self }
    }

    /// Takes `count` bytes off the front.
    fn take(&mut self, count: usize) -> Result<&'a [u8], OnnxError> {
        let (head, tail) = self
            .bytes
            .split_at_checked(count)
            .ok_or(OnnxError::Truncated { at: self.at })?;
        self.bytes = tail;
        self.at += count as u64;
        Ok(head)
    }

    /// Takes a number of 7 bits a byte off the front.
    pub(super) fn varint(&mut self) -> Result<u64, OnnxError> {
        let at = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(OnnxError::Varint { at })
    }

    /// Whether nothing is left.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// See [`Message::fields`].
pub(super) struct Fields<'a> {
    rest: Message<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, OnnxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest.bytes = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<Field<'a>, OnnxError> {
        let at = self.rest.at;
        let key = self.rest.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(OnnxError::Key { at })?;
        let value = match key & 7 {
            0 => Value::Varint(self.rest.varint()?),
            1 => {
                self.rest.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length = self.rest.varint()?;
                let length = usize::try_from(length).map_err(|_| OnnxError::Truncated { at })?;
                let start = self.rest.at;
                let bytes = self.rest.take(length).map_err(|_| OnnxError::Truncated { at })?;
                Value::Bytes(Message { bytes, at: start })
            }
            5 => Value::Fixed32(self.rest.take(4)?.try_into().expect("four bytes")),
            _ => return Err(OnnxError::Key { at }),
        };
        Ok(Field { number, at, value })
    }
}

impl<'a> Field<'a> {
    /// A nested message, a text, a block, or packed numbers.
    pub(super) const fn message(&self) -> Result<Message<'a>, OnnxError> {
        match self.value {
            Value::Bytes(message) => Ok(message),
            _ => Err(self.kind()),
        }
    }

    /// A text.
    pub(super) fn text(&self) -> Result<&'a str, OnnxError> {
        std::str::from_utf8(self.message()?.bytes).map_err(|_| OnnxError::Text { at: self.at })
    }

    /// A signed integer.
    pub(super) const fn integer(&self) -> Result<i64, OnnxError> {
        match self.value {
            Value::Varint(value) => Ok(value.cast_signed()),
            _ => Err(self.kind()),
        }
    }

    /// A float32.
    pub(super) const fn float(&self) -> Result<f32, OnnxError> {
        match self.value {
            Value::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.kind()),
        }
    }

    /// Appends one integer, or packed ones; no more than `most` in all.
    pub(super) fn integers(&self, out: &mut Vec<i64>, most: usize) -> Result<(), OnnxError> {
        let mut push = |value: u64| {
            if out.len() == most {
                return Err(OnnxError::TooMany { what: "integers", most });
            }
            out.push(value.cast_signed());
            Ok(())
        };
        match self.value {
            Value::Varint(value) => push(value),
            Value::Bytes(mut message) => {
                while !message.is_empty() {
                    push(message.varint()?)?;
                }
                Ok(())
            }
            _ => Err(self.kind()),
        }
    }

    const fn kind(&self) -> OnnxError {
        OnnxError::Kind {
            number: self.number,
            at: self.at,
        }
    }
}

/// Stores the value of a field that may stand once.
pub(super) fn once<T>(slot: &mut Option<T>, field: &Field<'_>, value: T) -> Result<(), OnnxError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(OnnxError::Twice {
            number: field.number,
            at: field.at,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<Field<'_>>, OnnxError> {
        Message { bytes, at: 100 }.fields().collect()
    }

    #[test]
    fn reads_every_kind_of_field() {
        let bytes = b"\x08\x96\x01\x15\0\0\x80\x3f\x19\0\0\0\0\0\0\0\0\x22\x02hi\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let fields = fields(bytes).expect("well formed");
        assert_eq!(fields.iter().map(|field| field.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(fields[0].integer(), Ok(150));
        assert_eq!(fields[1].float().map(f32::to_bits), Ok(1f32.to_bits()));
        assert_eq!(fields[3].text(), Ok("hi"));
        assert_eq!(fields[3].message().map(|message| message.at), Ok(100 + 19));
        assert_eq!(fields[4].integer(), Ok(-1));
        assert_eq!(fields[0].text(), Err(OnnxError::Kind { number: 1, at: 100 }));
        let mut many = Vec::new();
        fields[3].integers(&mut many, 2).expect("two");
        assert_eq!(many, [104, 105]);
        assert!(fields[0].integers(&mut many, 2).is_err());
    }

    #[test]
    fn refuses_what_does_not_end() {
        for (bytes, expected) in [
            (&b"\x08"[..], OnnxError::Truncated { at: 101 }),
            (b"\x08\x96", OnnxError::Truncated { at: 102 }),
            (b"\x22\x05hi", OnnxError::Truncated { at: 100 }),
            (
                b"\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                OnnxError::Truncated { at: 100 },
            ),
            (b"\x15\0\0", OnnxError::Truncated { at: 101 }),
            (b"\x19\0\0", OnnxError::Truncated { at: 101 }),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", OnnxError::Varint { at: 101 }),
            (
                b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                OnnxError::Varint { at: 101 },
            ),
            (b"\x00\x00", OnnxError::Key { at: 100 }),
            (b"\x0b", OnnxError::Key { at: 100 }),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0", OnnxError::Key { at: 100 }),
        ] {
            assert_eq!(fields(bytes).map(|fields| fields.len()), Err(expected), "{bytes:x?}");
        }
    }
}
