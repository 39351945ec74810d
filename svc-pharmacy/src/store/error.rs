//! Why the store could not do what it was asked: what the database kit says, and rows that make no sense.

pub use caremesh_db::Error;
