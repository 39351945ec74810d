//! Every string, bytes, date and code field says how sensitive it is: redaction and encryption follow it.

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind};

use super::{OPTIONS, OURS, option};
use crate::findings::Findings;

/// Messages that hold data themselves, so that the field which holds them must say what it is.
const DATA: [&str; 3] = ["caremesh.type.v1.Coding", "caremesh.type.v1.Date", "caremesh.type.v1.DateRange"];

/// Reports fields that do not say it.
pub(crate) fn check(contract: &DescriptorPool, findings: &mut Findings) {
    let ours = contract.all_messages().filter(|message| {
        message.package_name().starts_with(OURS)
            && message.package_name() != OPTIONS
            && !message.is_map_entry()
    });
    for field in ours.flat_map(|message| message.fields().collect::<Vec<_>>()).filter(holds_data) {
        let said = option(contract, &field.options(), "sensitivity").and_then(|said| said.as_enum_number());
        if said.unwrap_or(0) == 0 {
            findings.fault(field.full_name(), "does not say its sensitivity; NONE is said, not implied");
        }
    }
}

fn holds_data(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::String | Kind::Bytes => true,
        Kind::Message(message) if message.is_map_entry() => {
            holds_data(&message.map_entry_key_field()) || holds_data(&message.map_entry_value_field())
        }
        Kind::Message(message) => DATA.contains(&message.full_name()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::tests::draft;

    fn faults(field: &str) -> usize {
        let mut findings = Findings::default();
        check(&draft(&format!("message Draft {{ {field} }}")), &mut findings);
        findings.faults().iter().filter(|fault| fault.starts_with("caremesh.draft")).count()
    }

    #[test]
    fn a_field_with_data_must_say_how_sensitive_it_is() {
        for field in [
            "string name",
            "bytes photo",
            "caremesh.type.v1.Date birth_date",
            "map<string, int32> counts",
            "repeated string names",
        ] {
            assert_eq!(faults(&format!("{field} = 1;")), 1, "{field}");
            let said = format!("{field} = 1 [(caremesh.options.v1.sensitivity) = SENSITIVITY_NONE];");
            assert_eq!(faults(&said), 0, "{field}");
        }
    }

    #[test]
    fn unspecified_is_not_said() {
        assert_eq!(
            faults("string name = 1 [(caremesh.options.v1.sensitivity) = SENSITIVITY_UNSPECIFIED];"),
            1
        );
    }

    #[test]
    fn numbers_say_nothing() {
        assert_eq!(faults("int64 minor_units = 1;"), 0);
    }
}
