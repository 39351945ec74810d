//! The browser and partner edge.
