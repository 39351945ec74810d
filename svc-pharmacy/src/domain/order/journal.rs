//! The settlement journal: double entry per party. Above zero the party owes, below it is owed; each entry sums to zero.

use caremesh_kernel::Timestamp;

use super::Shares;

/// Whose account a line is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    /// Who pays the own share.
    Member,
    /// The insurer.
    Carrier,
    /// The branch that sells.
    Branch,
    /// Where card money and cash lie until they are paid out.
    PaymentProvider,
}

impl Party {
    /// Every party.
    pub const ALL: [Self; 4] = [Self::Member, Self::Carrier, Self::Branch, Self::PaymentProvider];

    /// Its name in the store and the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "MEMBER",
            Self::Carrier => "CARRIER",
            Self::Branch => "BRANCH",
            Self::PaymentProvider => "PAYMENT_PROVIDER",
        }
    }

    /// The party of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|party| party.name() == name)
    }
}

/// A line as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which entry it is part of.
    pub entry: String,
    /// Whose account.
    pub party: Party,
    /// Owed (above zero) or due to the party (below), minor units.
    pub amount: i64,
    /// When it was booked.
    pub at: Timestamp,
}

/// An entry: lines that sum to zero, under a name that books it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `dispense/0`, `paid/…`: unique within the order.
    pub name: String,
    /// Party and amount.
    pub lines: Vec<(Party, i64)>,
}

impl Entry {
    /// Goods changed hands, or (with negative shares) came back: member and carrier owe the branch.
    #[must_use]
    pub fn sale(name: String, shares: Shares) -> Self {
        let lines = vec![
            (Party::Member, shares.member()),
            (Party::Carrier, shares.plan),
            (Party::Branch, shares.discount - shares.list),
        ];
        Self { name, lines: without_zero(lines) }
    }

    /// The member paid, or (below zero) was given money back.
    #[must_use]
    pub fn paid(name: String, amount: i64) -> Self {
        Self { name, lines: without_zero(vec![(Party::Member, -amount), (Party::PaymentProvider, amount)]) }
    }

    /// Zero, always.
    #[must_use]
    pub fn sum(&self) -> i64 {
        self.lines.iter().map(|(_, amount)| amount).sum()
    }
}

fn without_zero(mut lines: Vec<(Party, i64)>) -> Vec<(Party, i64)> {
    lines.retain(|(_, amount)| *amount != 0);
    lines
}

/// What is open on a party's account.
#[must_use]
pub fn balance_of(lines: &[Line], party: Party) -> i64 {
    lines.iter().filter(|line| line.party == party).map(|line| line.amount).sum()
}
