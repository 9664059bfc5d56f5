//! Kubernetes quantities, such as `250m` or `1.5Gi`.

use std::cmp::Ordering;

/// An amount, with the text in which it was given. Two quantities are equal when the API server keeps the same value
/// for both.
#[derive(Clone, Debug)]
pub struct Quantity {
    text: String,
    thousandths: u128,
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.thousandths == other.thousandths
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.thousandths.cmp(&other.thousandths)
    }
}

impl Quantity {
    /// Reads a quantity that is not negative; `None` when the text is anything else, or too large.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self {
            text: text.to_owned(),
            thousandths: thousandths(text)?,
        })
    }

    /// Twice as much, in the same unit where the number is a whole one.
    #[must_use]
    pub fn doubled(&self) -> String {
        let end = self.text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = self.text.split_at(end.unwrap_or(self.text.len()));
        match number.parse::<u64>().ok().and_then(|n| n.checked_mul(2)) {
            Some(number) if !unit.starts_with('.') => format!("{number}{unit}"),
            _ => format!("{}m", self.thousandths.saturating_mul(2)),
        }
    }

    /// The value in thousandths of a core or of a byte.
    #[must_use]
    pub const fn thousandths(&self) -> u128 {
        self.thousandths
    }

    /// The text in which it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The value in thousandths. The API server rounds up what is finer.
fn thousandths(text: &str) -> Option<u128> {
    // One in billionths, the finest unit there is.
    const UNIT: u128 = 1_000_000_000;
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let factor = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => UNIT,
        "k" => UNIT * 1_000,
        "M" => UNIT * 1_000_000,
        "G" => UNIT * 1_000_000_000,
        "T" => UNIT * 1_000_000_000_000,
        "P" => UNIT * 1_000_000_000_000_000,
        "E" => UNIT * 1_000_000_000_000_000_000,
        "Ki" => UNIT << 10,
        "Mi" => UNIT << 20,
        "Gi" => UNIT << 30,
        "Ti" => UNIT << 40,
        "Pi" => UNIT << 50,
        "Ei" => UNIT << 60,
        _ => return None,
    };
    let places = 10_u128.checked_pow(fraction.len().try_into().ok()?)?;
    let value = digits.checked_mul(factor)?.div_ceil(places);
    Some(value.div_ceil(UNIT / 1_000))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn same(a: &str, b: &str) -> bool {
        Quantity::parse(a).unwrap() == Quantity::parse(b).unwrap()
    }

    /// The left one is what an API server answers when it is given the right one.
    #[test]
    fn quantities_are_compared_as_the_api_server_keeps_them() {
        for (kept, given) in [
            ("1", "1000m"),
            ("500m", "0.5"),
            ("1Gi", "1024Mi"),
            ("1k", "1000"),
            ("101m", "100.5m"),
            ("1325534281728m", "1.2345Gi"),
            ("1288490188800m", "1.2Gi"),
            ("102400m", "0.1Ki"),
            ("1024103m", "1.0001Ki"),
            ("1124m", "1.123456789"),
            ("1E", "1000000T"),
            ("1Pi", "1024Ti"),
            ("0", "0.0Mi"),
        ] {
            assert!(same(kept, given), "{kept} {given}");
        }
        for (a, b) in [
            ("1Gi", "1G"),
            ("1325534282", "1.2345Gi"),
            ("1", "1001m"),
            ("1", "1000.001m"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
    }

    #[test]
    fn every_suffix_has_its_value() {
        let steps = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        for (small, large) in steps.iter().zip(&steps[1..]) {
            // Numbers large enough that nothing is rounded.
            assert!(same(
                &format!("1000000000{small}"),
                &format!("1000000{large}")
            ));
        }
        let steps = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        for (small, large) in steps.iter().zip(&steps[1..]) {
            assert!(same(&format!("1024{small}"), &format!("1{large}")));
        }
        assert_eq!(Quantity::parse("1.5").unwrap().thousandths, 1500);
        assert_eq!(Quantity::parse("1.5").unwrap().as_str(), "1.5");
    }

    #[test]
    fn anything_else_is_no_quantity() {
        for word in [
            "",
            "m",
            "1x",
            "-1",
            ".5",
            "1.2.3",
            "hello",
            "1i",
            "9999999999999999999999E",
        ] {
            assert_eq!(Quantity::parse(word), None, "{word}");
        }
    }

    /// The values of a field of the spec that is called `name`, by its pattern in the schema.
    fn accepted(name: &str) -> impl proptest::strategy::Strategy<Value = String> {
        fn find(schema: &Value, name: &str) -> Option<String> {
            if let Some(pattern) = schema["properties"][name]["pattern"].as_str() {
                return Some(pattern.to_owned());
            }
            let children = schema.as_object()?.values();
            children.into_iter().find_map(|child| find(child, name))
        }
        let definition = crate::definitions().unwrap().remove(0);
        let pattern = find(
            &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
            name,
        )
        .unwrap();
        let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
        proptest::string::string_regex(pattern).unwrap()
    }

    proptest::proptest! {
        /// A quantity that cannot be compared would be written again and again.
        #[test]
        fn every_quantity_of_the_spec_can_be_compared(
            cpu in accepted("cpu"), memory in accepted("memory"), size in accepted("size"),
        ) {
            // The API server keeps less than what is beyond this bound.
            let bound = Quantity::parse("9223372036854775807").unwrap();
            for text in [cpu, memory, size] {
                let quantity = Quantity::parse(&text);
                proptest::prop_assert!(quantity.is_some(), "{text}");
                proptest::prop_assert!(quantity.unwrap().thousandths <= bound.thousandths, "{text}");
            }
        }
    }

    #[test]
    fn twice_as_much_keeps_the_unit_of_a_whole_number() {
        for (text, doubled) in [
            ("10Gi", "20Gi"),
            ("7", "14"),
            ("500m", "1000m"),
            ("1.5Gi", "3221225472000m"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().doubled(), doubled);
        }
    }
}
