//! Watches gRPC message framing while bytes pass: flag, length, and what the method allows.
//! Must not know what a message contains, and never copies one.

use thiserror::Error;

/// Flag byte and big-endian length before each message (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX_BYTES: usize = 5;

/// Why a request body was refused before, or while, it went to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum BodyFault {
    /// A message, or its announced length, is over the limit.
    #[error("a message is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The configured limit.
        limit_bytes: usize,
    },
    /// The body is not a row of whole gRPC messages, as many as the method takes.
    #[error("{0}")]
    Malformed(&'static str),
    /// All bodies that wait for their last byte together are over the limit.
    #[error("too many request bytes are waiting")]
    NoRoom,
}

/// How many messages a request may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    /// Exactly one: unary and server-streaming methods.
    One,
    /// Any number: client-streaming and bidirectional methods.
    Many,
}

/// A cursor over one request body.
#[derive(Debug)]
pub(crate) struct FrameCheck {
    limit_bytes: usize,
    arity: Arity,
    prefix: [u8; PREFIX_BYTES],
    prefix_len: usize,
    missing: usize,
    messages: u64,
}

impl FrameCheck {
    /// A cursor before the first byte. `limit_bytes` bounds each message, its prefix not counted.
    pub(crate) fn new(arity: Arity, limit_bytes: usize) -> Self {
        Self { limit_bytes, arity, prefix: [0; PREFIX_BYTES], prefix_len: 0, missing: 0, messages: 0 }
    }

    /// Moves over the next bytes of the body.
    ///
    /// # Errors
    /// The first rule that the bytes break; the cursor must not be fed after that.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), BodyFault> {
        while !bytes.is_empty() {
            if self.missing > 0 {
                let step = self.missing.min(bytes.len());
                self.missing -= step;
                bytes = &bytes[step..];
            } else {
                bytes = self.feed_prefix(bytes)?;
            }
        }
        Ok(())
    }

    fn feed_prefix<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], BodyFault> {
        let step = (PREFIX_BYTES - self.prefix_len).min(bytes.len());
        self.prefix[self.prefix_len..self.prefix_len + step].copy_from_slice(&bytes[..step]);
        self.prefix_len += step;
        if self.prefix_len == PREFIX_BYTES {
            self.begin_message()?;
        }
        Ok(&bytes[step..])
    }

    fn begin_message(&mut self) -> Result<(), BodyFault> {
        let [flag, a, b, c, d] = self.prefix;
        if flag > 1 {
            return Err(BodyFault::Malformed("the compression flag must be 0 or 1"));
        }
        if self.arity == Arity::One && self.messages == 1 {
            return Err(BodyFault::Malformed("the method takes one message"));
        }
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > self.limit_bytes {
            return Err(BodyFault::TooLarge { limit_bytes: self.limit_bytes });
        }
        self.messages += 1;
        self.missing = length;
        self.prefix_len = 0;
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// When it ended inside a message, or without the one message that the method takes.
    pub(crate) fn finish(&self) -> Result<(), BodyFault> {
        if self.missing > 0 || self.prefix_len > 0 {
            return Err(BodyFault::Malformed("the body ends inside a message"));
        }
        if self.arity == Arity::One && self.messages == 0 {
            return Err(BodyFault::Malformed("the body holds no message"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&[0], &length[..], payload].concat()
    }

    fn verdict(arity: Arity, limit: usize, chunks: &[&[u8]]) -> Result<(), BodyFault> {
        let mut check = FrameCheck::new(arity, limit);
        chunks.iter().try_for_each(|chunk| check.feed(chunk))?;
        check.finish()
    }

    #[test]
    fn a_message_cut_anywhere_is_the_same_message() {
        let whole = message(b"hello");
        for cut in 0..=whole.len() {
            let (head, tail) = whole.split_at(cut);
            assert_eq!(verdict(Arity::One, 5, &[head, tail]), Ok(()), "cut at {cut}");
        }
    }

    #[test]
    fn the_announced_length_alone_is_enough_to_refuse() {
        let prefix = &message(&[0; 6])[..PREFIX_BYTES];
        let mut check = FrameCheck::new(Arity::Many, 5);
        assert_eq!(check.feed(prefix), Err(BodyFault::TooLarge { limit_bytes: 5 }));
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        assert_eq!(verdict(Arity::One, 5, &[&message(&[0; 5])]), Ok(()));
    }

    #[test]
    fn a_unary_method_takes_exactly_one_message() {
        let two = [message(b"a"), message(b"b")].concat();
        assert!(matches!(verdict(Arity::One, 9, &[&two]), Err(BodyFault::Malformed(_))));
        assert!(matches!(verdict(Arity::One, 9, &[]), Err(BodyFault::Malformed(_))));
        assert_eq!(verdict(Arity::Many, 9, &[&two]), Ok(()));
        assert_eq!(verdict(Arity::Many, 9, &[]), Ok(()));
    }

    #[test]
    fn a_body_that_ends_inside_a_message_is_malformed() {
        let whole = message(b"hello");
        for cut in 1..whole.len() {
            let fault = verdict(Arity::Many, 9, &[&whole[..cut]]);
            assert!(matches!(fault, Err(BodyFault::Malformed(_))), "cut at {cut}: {fault:?}");
        }
    }

    #[test]
    fn an_unknown_flag_is_malformed() {
        assert!(matches!(verdict(Arity::One, 9, &[&[2, 0, 0, 0, 0]]), Err(BodyFault::Malformed(_))));
    }
}
