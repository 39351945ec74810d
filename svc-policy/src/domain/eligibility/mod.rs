//! Whether a member is covered for a benefit on a day, and every reason why not.
