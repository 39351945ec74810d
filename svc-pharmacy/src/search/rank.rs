//! The order in which a person sees what was found. When a word may mean several names, each name gets places by how likely it
//! is: the likeliest most of them, and no other name is crowded out. It knows no engine.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use caremesh_kernel::Uuid;

use super::index::Hit;

/// How much a name's second product is put back, in hundredths of a nat; its k-th by the logarithm of k times this.
const AGAIN: u32 = 150;

/// The keys in their order, at most `limit`, each once. The hits of a choice stand together, best first.
pub(crate) fn order(hits: &[Hit], limit: usize) -> Vec<Uuid> {
    let mut next: BinaryHeap<Reverse<(u32, usize)>> = BinaryHeap::new();
    // Each choice's hits only get dearer, so that the next of each is all that has to be compared.
    let mut groups: Vec<Group<'_>> = hits
        .chunk_by(|one, other| one.choice == other.choice)
        .map(|hits| Group { hits, nth: 0, back: 0 })
        .collect();
    next.extend(groups.iter().enumerate().map(|(number, group)| Reverse((group.hits[0].cost, number))));
    let (mut keys, mut seen) = (Vec::new(), HashSet::new());
    while let Some(Reverse((_, number))) = next.pop().filter(|_| keys.len() < limit) {
        let group = &mut groups[number];
        let key = group.hits[0].key;
        if seen.insert(key) {
            keys.push(key);
        }
        next.extend(group.go_on().map(|cost| Reverse((cost, number))));
    }
    keys
}

/// What is left of the hits of a choice.
struct Group<'h> {
    hits: &'h [Hit],
    nth: u32,
    /// How much the first of them is put back.
    back: u32,
}

impl Group<'_> {
    /// Passes over the first; what the next costs, all told.
    fn go_on(&mut self) -> Option<u32> {
        self.hits = &self.hits[1..];
        self.nth += 1;
        // The sum of 1 / (k - ½) is a logarithm in whole numbers.
        self.back += 2 * AGAIN / (2 * self.nth + 1);
        self.hits.first().map(|hit| hit.cost + self.back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(key: u128, choice: usize, cost: u32) -> Hit {
        Hit { key: Uuid::from_u128(key), choice: Some(choice), cost }
    }

    #[test]
    fn a_likely_name_comes_first_and_an_unlikely_one_is_not_crowded_out() {
        let mut hits: Vec<Hit> = (0..50).map(|n| hit(n, 0, 400)).collect();
        hits.extend((100..150).map(|n| hit(n, 1, 600)));
        let order = order(&hits, 10);
        assert_eq!(order[0], Uuid::from_u128(0));
        let others = order.iter().filter(|key| key.as_u128() >= 100).count();
        assert!((1..=4).contains(&others), "{others}");
    }

    #[test]
    fn one_product_has_one_place() {
        let hits = [hit(1, 0, 10), hit(2, 0, 10), hit(1, 1, 20)];
        assert_eq!(order(&hits, 10).len(), 2);
    }
}
