//! Compiles the contract: protox reads the `.proto` files, tonic-prost-build writes messages, clients
//! and servers, prost-protovalidate-build writes the validators. No `protoc` takes part.

use std::error::Error;
use std::path::{Path, PathBuf};

use protox::file::{
    ChainFileResolver, DescriptorSetFileResolver, GoogleFileResolver, IncludeFileResolver,
};

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

    tonic_prost_build::configure()
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

/// Every `.proto` under `caremesh/`, relative to `proto/`, in a fixed order.
fn proto_files(root: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut folders = vec![root.join("caremesh")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "proto" => {
                    files.push(path.strip_prefix(root)?.to_path_buf())
                }
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}
