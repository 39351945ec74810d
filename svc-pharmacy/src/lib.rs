//! Medicines and their search, prescriptions, stock, orders and delivery at the insured price.
