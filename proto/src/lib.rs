//! The contract: generated messages, clients, servers, validators and the descriptor set.
