//! Every method and field of the contract says what it must, and every refusal it declares was seen in a
//! test. Reads the descriptor set, which keeps the options, and the recordings of tests.

mod fields;
mod methods;
pub(crate) mod reasons;
mod seen;

use std::path::Path;

use anyhow::Context;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value};

use crate::findings::Findings;

/// Our packages; everything else in the descriptor set was written by others.
const OURS: &str = "caremesh.";
/// The package of the options themselves: it describes data and holds none.
const OPTIONS: &str = "caremesh.options.v1";

/// The contract this tool was built with.
pub(crate) fn contract() -> anyhow::Result<DescriptorPool> {
    DescriptorPool::decode(caremesh_proto::FILE_DESCRIPTOR_SET).context("decoding the descriptor set")
}

/// Reports what the contract leaves unsaid and, given recordings, which refusals no test has seen.
pub(crate) fn check(contract: &DescriptorPool, recordings: Option<&Path>) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    reasons::check(contract, &mut findings);
    methods::check(contract, &mut findings);
    fields::check(contract, &mut findings);
    if let Some(folder) = recordings {
        seen::check(contract, folder, &mut findings)?;
    }
    let methods: usize = services(contract).map(|service| service.methods().len()).sum();
    findings.note(format!("{} services, {methods} methods", services(contract).count()));
    Ok(findings)
}

fn services(contract: &DescriptorPool) -> impl Iterator<Item = prost_reflect::ServiceDescriptor> {
    contract.services().filter(|service| service.package_name().starts_with(OURS))
}

/// An option of ours, if it is set.
fn option(contract: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<Value> {
    let extension = contract.get_extension_by_name(&format!("{OPTIONS}.{name}"))?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
}

/// An enum field's value by name, without the enum's prefix, or nothing when it is unspecified.
fn enum_name(message: &DynamicMessage, field: &str) -> Option<String> {
    let descriptor = message.descriptor().get_field_by_name(field)?;
    let kind = descriptor.kind();
    let number = message.get_field(&descriptor).as_enum_number().filter(|&number| number != 0)?;
    kind.as_enum()?.get_value(number).map(|value| value.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protox::Compiler;
    use protox::file::{ChainFileResolver, DescriptorSetFileResolver, File, FileResolver};

    /// Serves the one file that a test wrote.
    struct Draft(String);

    impl FileResolver for Draft {
        fn open_file(&self, name: &str) -> Result<File, protox::Error> {
            if name == "draft.proto" {
                return File::from_source(name, &self.0);
            }
            Err(protox::Error::file_not_found(name))
        }
    }

    /// A contract that a test wrote, beside the real one's options and shared types.
    pub(crate) fn draft(body: &str) -> DescriptorPool {
        let head = "syntax = \"proto3\"; package caremesh.draft.v1;
            import \"caremesh/options/v1/options.proto\"; import \"caremesh/type/v1/page.proto\";
            import \"caremesh/type/v1/date.proto\"; import \"buf/validate/validate.proto\"; ";
        let mut resolver = ChainFileResolver::new();
        resolver.add(Draft(format!("{head}{body}")));
        resolver.add(DescriptorSetFileResolver::decode(caremesh_proto::FILE_DESCRIPTOR_SET).unwrap());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).open_file("draft.proto").unwrap();
        DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
    }

    #[test]
    fn the_contract_says_everything() {
        let findings = check(&contract().unwrap(), None).unwrap();
        assert_eq!(findings.faults(), [""; 0]);
    }
}
