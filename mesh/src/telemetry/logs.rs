//! Log lines: one JSON object each, with the ids of the running call. A sentence that stands alone plus
//! dotted fields; what may be in them is docs/logging.md's business.

use std::fmt::{self, Write as _};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use super::scope::{CallScope, present_span};

const SERVICE: &str = "caremesh.service";

/// Writes one line per event, as JSON or for a person at a terminal.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) json: bool,
    /// Says who logs when no call's scope does.
    pub(super) process: String,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields { json: self.json, ..Fields::default() };
        self.add_ids(&mut fields, event.metadata());
        event.record(&mut fields);
        let mut at = String::new();
        SystemTime.format_time(&mut Writer::new(&mut at))?;
        let (level, target) = (event.metadata().level(), event.metadata().target());
        if self.json {
            let message = json_text(&fields.message);
            writeln!(
                writer,
                r#"{{"timestamp":"{at}","level":"{level}","target":"{target}","message":{message}{}}}"#,
                fields.rest
            )
        } else {
            writeln!(writer, "{at} {level:>5} {} ({target}{})", fields.message, fields.rest)
        }
    }
}

impl Lines {
    fn add_ids(&self, fields: &mut Fields, metadata: &Metadata<'_>) {
        let scope = CallScope::current();
        // A line that names its service itself (one of several servers in a process has ended) knows better.
        if metadata.fields().field(SERVICE).is_none() {
            fields.add(SERVICE, scope.as_ref().map_or(&self.process, |scope| scope.service()));
        }
        if let Some(call_id) = scope.as_ref().and_then(CallScope::call_id) {
            fields.add("call_id", call_id);
        }
        if let Some(span) = present_span() {
            fields.add("trace_id", &span.trace_id().to_string());
            fields.add("span_id", &span.span_id().to_string());
        }
    }
}

#[derive(Default)]
struct Fields {
    json: bool,
    message: String,
    rest: String,
}

impl Fields {
    fn add(&mut self, name: &str, value: &str) {
        if self.json {
            self.add_raw(name, json_text(value));
        } else {
            self.add_raw(name, value);
        }
    }

    fn add_raw(&mut self, name: &str, value: impl fmt::Display) {
        // Writing to a String cannot fail.
        let _ = match self.json {
            true => write!(self.rest, ",{}:{value}", json_text(name)),
            false => write!(self.rest, " {name}={value}"),
        };
    }
}

/// A JSON string: a line can then hold no line break, whatever the text holds.
fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.add(field.name(), &text);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.add(field.name(), value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add_raw(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add_raw(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add_raw(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field.name(), &chain_of(value));
    }
}

/// An error and its sources, outermost first.
fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
