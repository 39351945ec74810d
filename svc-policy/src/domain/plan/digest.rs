//! The canonical form of plan data and its SHA-256.
//!
//! Canonical: JSON with keys in byte order, no white space, and without absent values and empty lists, so that a
//! field which is added to the model later leaves the digests of published versions alone.

use serde::Serialize;
use serde_json::Value;

/// Digest of anything that can be written as JSON, 64 hexadecimal digits.
pub(super) fn of(content: &impl Serialize) -> String {
    // Plan data has no maps with keys other than text and no floats, so that writing it cannot fail.
    let value = serde_json::to_value(content).unwrap_or(Value::Null);
    let mut text = String::new();
    write(&value, &mut text);
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => write_list(items, out),
        Value::Object(fields) => write_fields(fields, out),
        leaf => out.push_str(&leaf.to_string()),
    }
}

fn write_list(items: &[Value], out: &mut String) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

fn write_fields(fields: &serde_json::Map<String, Value>, out: &mut String) {
    let mut said: Vec<_> = fields.iter().filter(|(_, value)| !says_nothing(value)).collect();
    said.sort_by_key(|(key, _)| key.as_bytes());
    out.push('{');
    for (index, (key, value)) in said.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
        _ => false,
    }
}
