//! Premium arithmetic (rule R10): quote, instalments, earned premium, refunds. Tax is apart from all of it.
