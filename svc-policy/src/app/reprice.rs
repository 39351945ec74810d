//! What a change of cover in mid-term costs: the difference of two offers to the family as it is covered from the day on.

use caremesh_kernel::{Bps, Date, PersonId};

use super::Error;
use super::change::Draft;
use super::family::Facts;
use crate::domain::life::{Amount, Change, ChangeRefusal};
use crate::domain::plan::Jurisdiction;
use crate::domain::premium::{Insured, ProposedMember, Sold, difference};

impl Draft {
    /// Agrees on the difference between two offers for the days from `from` on. Answers what it adds to the premium, and what
    /// is given back.
    pub(crate) fn reprice(
        &mut self,
        law: &Jurisdiction,
        offers: [Sold<'_>; 2],
        family: &[Facts],
        (from, today): (Date, Date),
    ) -> Result<(Amount, Amount), Error> {
        let (persons, insured) = self.insured_from(from, family);
        let term = self.books.term;
        let no_rate = |_| Error::from(ChangeRefusal::Family(Vec::new()));
        let shares = difference(offers, &insured, term).map_err(no_rate)?;
        let shares: Vec<(PersonId, i64)> = persons.into_iter().zip(shares).collect();
        let taxes = law.premium_taxes(&offers[1].0.premium.tax_kind, term.start());
        let rates: Vec<Bps> = taxes.iter().map(|tax| tax.bps).collect();
        let change = Change { shares: &shares, rates: &rates, from, until: term.end(), due: from.max(today) };
        let (after, change, refund) = self.books.agreement.changed(&change);
        self.agree(&after)?;
        Ok((change, refund))
    }

    /// Who is covered from a day on, and on how many days of the term.
    fn insured_from(&self, from: Date, family: &[Facts]) -> (Vec<PersonId>, Vec<Insured>) {
        let end = self.books.term.end();
        let covered =
            self.next.members.iter().filter(|row| from < row.ends_on && row.starts_on < row.ends_on);
        covered
            .filter_map(|row| {
                let facts = family.iter().find(|facts| facts.member == row.id)?;
                let member = ProposedMember {
                    relation: row.relation,
                    birth: facts.birth,
                    conditions: facts.declared.clone(),
                    load_bps: facts.load_bps,
                };
                let days = from.max(row.starts_on).days_until(row.ends_on.min(end)).max(0);
                Some((row.person_id, Insured { member, days }))
            })
            .unzip()
    }
}
