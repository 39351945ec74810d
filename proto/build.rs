//! Compiles the contract: protox reads the `.proto` files, tonic-prost-build writes messages, clients
//! and servers, prost-protovalidate-build writes the validators, and `Debug` is written here so that it
//! never shows a field that the contract calls sensitive. No `protoc` takes part.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, GoogleFileResolver, IncludeFileResolver};

#[expect(clippy::disallowed_methods, reason = "a build script is told its folders by environment")]
fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed={}", root.join("caremesh").display());

    let mut compiler = protox::Compiler::with_file_resolver(resolver(&root)?);
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(proto_files(&root)?)?;

    // Only these bytes keep the custom options: prost-types drops them.
    let encoded = compiler.encode_file_descriptor_set();
    std::fs::write(out.join("caremesh.binpb"), &encoded)?;

    let sensitive = sensitive_messages(&compiler.descriptor_pool());
    std::fs::write(out.join("debug_impl.rs"), sensitive.iter().map(debug_impl).collect::<String>())?;

    tonic_prost_build::configure()
        .skip_debug(sensitive.iter().map(|message| format!(".{}", message.full_name())).collect::<Vec<_>>())
        .extern_path(".buf.validate", "::prost_protovalidate_types")
        .compile_well_known_types(false)
        .emit_rerun_if_changed(false)
        .compile_fds(compiler.file_descriptor_set())?;

    // A rule in CEL would be skipped in silence; the contract has none, and the build says so.
    prost_protovalidate_build::Builder::new()
        .file_descriptor_set_bytes(encoded)
        .fail_on_runtime_only(true)
        .compile()?;
    Ok(())
}

/// Ours from `proto/`, `google/protobuf` from protox, `buf/validate` from the crate that defines it.
fn resolver(root: &Path) -> Result<ChainFileResolver, Box<dyn Error>> {
    let rules = prost_protovalidate_types::DESCRIPTOR_POOL.encode_to_vec();
    let mut chain = ChainFileResolver::new();
    chain.add(IncludeFileResolver::new(root.to_path_buf()));
    chain.add(GoogleFileResolver::new());
    chain.add(DescriptorSetFileResolver::decode(rules.as_slice())?);
    Ok(chain)
}

/// Our messages that hold at least one field that must not be shown.
fn sensitive_messages(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    pool.all_messages()
        .filter(|message| message.package_name().starts_with("caremesh."))
        .filter(|message| message.fields().any(|field| is_sensitive(&field)))
        .collect()
}

/// Whether the contract says anything but NONE (1) of the field.
fn is_sensitive(field: &FieldDescriptor) -> bool {
    let pool = field.parent_pool();
    let Some(option) = pool.get_extension_by_name("caremesh.options.v1.sensitivity") else {
        return false;
    };
    let options = field.options();
    options.has_extension(&option) && options.get_extension(&option).as_enum_number() != Some(1)
}

/// `impl Debug` that shows a sensitive field's name and hides its value.
fn debug_impl(message: &MessageDescriptor) -> String {
    assert!(
        message.oneofs().all(|oneof| oneof.is_synthetic()),
        "{}: oneofs are not handled",
        message.full_name()
    );
    let module = message.package_name().replace(".type.", ".r#type.").replace('.', "::");
    let fields: String = message
        .fields()
        .map(|field| match is_sensitive(&field) {
            true => format!(".field({:?}, &format_args!(\"[redacted]\"))", field.name()),
            false => format!(".field({:?}, &self.{})", field.name(), field.name()),
        })
        .collect();
    format!(
        "impl ::core::fmt::Debug for {module}::{name} {{\n    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> \
         ::core::fmt::Result {{\n        f.debug_struct({name:?}){fields}.finish()\n    }}\n}}\n",
        name = message.name(),
    )
}

/// Every `.proto` under `caremesh/`, relative to `proto/`, in a fixed order.
fn proto_files(root: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut folders = vec![root.join("caremesh")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "proto" => files.push(path.strip_prefix(root)?.to_path_buf()),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}
