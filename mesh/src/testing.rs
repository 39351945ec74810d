//! What the tests of this crate share: contracts compiled from text. Never part of a build.

use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

/// Compiles `source` as `probe.proto` beside the contract's own protos; options are kept.
///
/// # Panics
/// When the source does not compile: a mistake in the test.
pub(crate) fn descriptor_set(source: &str) -> Vec<u8> {
    let mut files = ChainFileResolver::new();
    files.add(Text(source.to_owned()));
    files.add(IncludeFileResolver::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto").into()));
    files.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(files);
    compiler.include_imports(true);
    compiler.open_file("probe.proto").expect("probe.proto compiles");
    compiler.open_file("caremesh/options/v1/reasons.proto").expect("the common reasons compile");
    compiler.encode_file_descriptor_set()
}

struct Text(String);

impl FileResolver for Text {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "probe.proto" => File::from_source(name, &self.0),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}
