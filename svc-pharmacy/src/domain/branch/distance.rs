//! How far two places are from each other, in whole numbers: near enough to say which branch is nearest. Knows no map.

/// A place, WGS 84, in millionths of a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// North of the equator, -90,000,000 to 90,000,000.
    pub latitude_e6: i32,
    /// East of Greenwich, -180,000,000 to 180,000,000.
    pub longitude_e6: i32,
}

const FULL_CIRCLE_E6: i64 = 360_000_000;
/// Metres of a degree of a meridian, times 1,000: 6,371,009 m × π ÷ 180.
const MILLIMETRES_PER_DEGREE: i128 = 111_195_079;

/// Metres between two places. On the tangent plane at their middle latitude, its cosine by Bhaskara's formula: right to about
/// a percent within a country, which is what "nearest" needs, and without floating point.
#[must_use]
pub fn metres_between(a: Point, b: Point) -> i64 {
    let north = i64::from(a.latitude_e6) - i64::from(b.latitude_e6);
    let middle = (i64::from(a.latitude_e6) + i64::from(b.latitude_e6)) / 2;
    let east = around(i64::from(a.longitude_e6) - i64::from(b.longitude_e6));
    let east = i128::from(east) * i128::from(cosine_e6(middle)) / 1_000_000;
    let squared = i128::from(north) * i128::from(north) + east * east;
    let degrees_e6 = squared.isqrt();
    i64::try_from(degrees_e6 * MILLIMETRES_PER_DEGREE / 1_000_000 / 1_000).unwrap_or(i64::MAX)
}

/// The shorter way round the earth.
fn around(east_e6: i64) -> i64 {
    let east = east_e6.rem_euclid(FULL_CIRCLE_E6);
    east.min(FULL_CIRCLE_E6 - east)
}

/// Cosine of a latitude, in millionths, by Bhaskara I: 4·(90−x)·(90+x) ÷ (40500 − (90−x)·(90+x)), off by 0.0017 at most.
fn cosine_e6(latitude_e6: i64) -> i64 {
    const RIGHT_ANGLE: i128 = 90_000_000;
    let x = i128::from(latitude_e6);
    let product = (RIGHT_ANGLE - x) * (RIGHT_ANGLE + x);
    let cosine = 4_000_000 * product / (40_500_000_000_000_000 - product);
    i64::try_from(cosine).unwrap_or_default()
}

/// Things with a place, nearest first; ties in the order given.
#[must_use]
pub fn nearest_first<T>(near: Point, things: Vec<T>, place: impl Fn(&T) -> Point) -> Vec<(T, i64)> {
    let mut measured: Vec<(T, i64)> = things
        .into_iter()
        .map(|thing| {
            let metres = metres_between(near, place(&thing));
            (thing, metres)
        })
        .collect();
    measured.sort_by_key(|(_, metres)| *metres);
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude_e6: i32, longitude_e6: i32) -> Point {
        Point { latitude_e6, longitude_e6 }
    }

    /// Great-circle distances by the haversine formula, computed outside.
    #[test]
    fn distances_within_a_country_are_right_to_about_a_percent() {
        let known = [
            (at(6_524_400, 3_379_200), at(9_076_500, 7_398_600), 525_800), // Lagos to Abuja
            (at(18_520_400, 73_856_700), at(19_076_000, 72_877_700), 120_200), // Pune to Mumbai
            (at(6_524_400, 3_379_200), at(6_601_800, 3_351_500), 9_135),   // Lagos Island to Ikeja
        ];
        for (a, b, metres) in known {
            let measured = metres_between(a, b);
            let off = (measured - metres).abs();
            assert!(off * 100 <= metres * 2, "{measured} for {metres}");
            assert_eq!(measured, metres_between(b, a));
        }
        assert_eq!(metres_between(at(5, 5), at(5, 5)), 0);
    }

    #[test]
    fn the_date_line_is_no_wall() {
        let metres = metres_between(at(0, 179_900_000), at(0, -179_900_000));
        assert!((22_000..22_500).contains(&metres), "{metres}");
    }

    #[test]
    fn the_nearest_comes_first() {
        let sorted =
            nearest_first(at(0, 0), vec![at(0, 3_000_000), at(1_000_000, 0), at(0, 2_000_000)], |p| *p);
        let order: Vec<_> = sorted.iter().map(|(point, _)| point.longitude_e6).collect();
        assert_eq!(order, [0, 2_000_000, 3_000_000]);
    }
}
