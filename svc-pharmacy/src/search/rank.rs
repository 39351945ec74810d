//! The order in which a person sees what was found. When a word may mean several names, each name gets places by how likely it
//! is: the likeliest most of them, and no other name is crowded out. It knows no engine.

use std::collections::HashSet;

use caremesh_kernel::Uuid;

use super::index::Hit;

/// How much a name's second product is put back, in hundredths of a nat; its k-th by the logarithm of k times this.
const AGAIN: u32 = 150;

/// The keys in their order, at most `limit`, each once.
pub(crate) fn order(hits: &[Hit], limit: usize) -> Vec<Uuid> {
    let mut placed: Vec<(u32, usize, Uuid)> = Vec::with_capacity(hits.len());
    let (mut choice, mut nth, mut back) = (None, 0_u32, 0_u32);
    for (place, hit) in hits.iter().enumerate() {
        if nth == 0 || choice != Some(hit.choice) {
            (choice, nth, back) = (Some(hit.choice), 0, 0);
        }
        nth += 1;
        // The sum of 1 / (k - ½) is a logarithm in whole numbers.
        if nth > 1 {
            back += 2 * AGAIN / (2 * nth - 1);
        }
        placed.push((hit.cost + back, place, hit.key));
    }
    placed.sort_unstable();
    let mut seen = HashSet::with_capacity(placed.len());
    placed.into_iter().map(|(_, _, key)| key).filter(|key| seen.insert(*key)).take(limit).collect()
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
