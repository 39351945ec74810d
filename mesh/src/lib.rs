//! Everything about calling and being called.
