//! What end-to-end tests share: the real binary as a child process, tools that may be missing, clients.
//! Must not know what any test proves.

pub mod demo;
pub mod program;
pub mod separate;
pub mod story;
pub mod tools;
