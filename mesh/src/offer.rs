//! How every service of a contract is offered over tonic: one limit for messages, gzip for who uses it.
//! Must not know which services there are.

/// The one encoding that is spoken. Answers are compressed only for callers that say they can read it, and the gateway
/// passes that on only for callers that compress themselves: small answers gain nothing.
pub const ENCODING: tonic::codec::CompressionEncoding = tonic::codec::CompressionEncoding::Gzip;

/// A generated server around its handler, which refuses messages of more than `$most` bytes, compressed or not.
#[macro_export]
macro_rules! offer {
    ($server:ident, $handler:expr, $most:expr) => {
        $server::new($handler)
            .max_decoding_message_size($most)
            .accept_compressed($crate::offer::ENCODING)
            .send_compressed($crate::offer::ENCODING)
    };
}
