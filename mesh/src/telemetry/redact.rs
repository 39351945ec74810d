//! Shows a message without what the contract calls sensitive. Knows no message by name: the rule is the
//! `sensitivity` option of each field, and a field without it is hidden.

use std::fmt::Write as _;

use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, Value};

const SENSITIVITY: &str = "caremesh.options.v1.sensitivity";
/// `SENSITIVITY_NONE`.
const NONE: i32 = 1;

/// Renders messages for logs and dead letters.
#[derive(Debug, Clone)]
pub struct Redactor {
    pool: DescriptorPool,
    option: Option<ExtensionDescriptor>,
}

impl Redactor {
    /// Reads the options of `pool`. Without them every value is hidden.
    #[must_use]
    pub fn new(pool: DescriptorPool) -> Self {
        let option = pool.get_extension_by_name(SENSITIVITY);
        Self { pool, option }
    }

    /// The message of type `name` in `bytes`, field by field; values that are not declared harmless show
    /// as `[hidden]`. An unknown type or unreadable bytes show as their size.
    #[must_use]
    pub fn show(&self, name: &str, bytes: &[u8]) -> String {
        let decoded = self.pool.get_message_by_name(name).and_then(|d| DynamicMessage::decode(d, bytes).ok());
        decoded.map_or_else(|| format!("[{} bytes]", bytes.len()), |message| self.message(&message))
    }

    fn message(&self, message: &DynamicMessage) -> String {
        let fields =
            message.fields().map(|(field, value)| format!("{}: {}", field.name(), self.field(&field, value)));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
    }

    fn field(&self, field: &FieldDescriptor, value: &Value) -> String {
        match value {
            // A whole message may be sensitive by its field (a diagnosis); else its own fields decide.
            Value::Message(inner) if self.declared(field).is_none_or(|s| s == NONE) => self.message(inner),
            Value::List(items) if self.shows_items(field) => {
                let items = items.iter().map(|item| self.field(field, item));
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
            _ if self.is_harmless(field) => scalar(value),
            _ => "[hidden]".to_owned(),
        }
    }

    fn shows_items(&self, field: &FieldDescriptor) -> bool {
        self.is_harmless(field)
            || (matches!(field.kind(), Kind::Message(_)) && self.declared(field).is_none())
    }

    /// Declared NONE; or a number, truth value or enum about which nothing is declared.
    fn is_harmless(&self, field: &FieldDescriptor) -> bool {
        match self.declared(field) {
            Some(sensitivity) => sensitivity == NONE,
            None => !matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Message(_)),
        }
    }

    fn declared(&self, field: &FieldDescriptor) -> Option<i32> {
        let option = self.option.as_ref()?;
        let options = field.options();
        if !options.has_extension(option) {
            return None;
        }
        options.get_extension(option).as_enum_number()
    }
}

fn scalar(value: &Value) -> String {
    let mut text = String::new();
    let _ = match value {
        Value::String(inner) => write!(text, "{inner:?}"),
        Value::Bool(inner) => write!(text, "{inner}"),
        Value::I32(inner) | Value::EnumNumber(inner) => write!(text, "{inner}"),
        Value::I64(inner) => write!(text, "{inner}"),
        Value::U32(inner) => write!(text, "{inner}"),
        Value::U64(inner) => write!(text, "{inner}"),
        other => write!(text, "[{}]", kind_of(other)),
    };
    text
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Bytes(_) => "bytes",
        Value::Map(_) => "map",
        _ => "value",
    }
}
