//! A strict reader of OpenMetrics text: what it takes, Prometheus takes.

use std::collections::{BTreeMap, BTreeSet};

/// Labels in their order.
pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub struct Metrics {
    samples: BTreeMap<(String, Labels), f64>,
}

/// The family that the following samples belong to.
struct Family {
    name: String,
    kind: String,
}

impl Metrics {
    /// Panics with what is wrong.
    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines().peekable();
        let (mut metrics, mut seen, mut family) = (Self::default(), BTreeSet::new(), None);
        assert!(text.ends_with("# EOF\n"), "the text ends with its mark");
        while let Some(line) = lines.next() {
            let words: Vec<_> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "EOF"] => assert!(lines.peek().is_none(), "nothing comes after the mark"),
                ["#", "HELP", name, help] => {
                    assert!(is_name(name) && !help.is_empty(), "{line}");
                    assert!(seen.insert(name.to_owned()), "{name} is there once");
                    let type_line = lines.next().unwrap_or_default();
                    let kind = type_line.strip_prefix(&format!("# TYPE {name} ")).expect(type_line);
                    assert!(["counter", "gauge", "histogram"].contains(&kind), "{type_line}");
                    family = Some(Family { name: name.to_owned(), kind: kind.to_owned() });
                }
                ["#", "UNIT", name, unit] => assert!(name.ends_with(&format!("_{unit}")), "{line}"),
                _ => metrics.add(line, family.as_ref().expect("a sample has a family")),
            }
        }
        metrics.check_histograms();
        metrics
    }

    fn add(&mut self, line: &str, family: &Family) {
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) =
            series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest.strip_suffix('}').expect(line)));
        let suffix = name.strip_prefix(&family.name).expect(line);
        let suffixes: &[&str] = match &*family.kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            _ => &["_sum", "_count", "_bucket"],
        };
        assert!(suffixes.contains(&suffix), "{line}");
        let value: f64 = value.parse().expect(line);
        assert!(family.kind == "gauge" || value >= 0.0, "{line}");
        let again = self.samples.insert((name.to_owned(), labels_of(labels)), value);
        assert!(again.is_none(), "{line} is there once");
    }

    /// Buckets do not shrink, and the last is the count.
    fn check_histograms(&self) {
        let mut largest: BTreeMap<(String, Labels), Vec<(f64, f64)>> = BTreeMap::new();
        for ((name, labels), value) in &self.samples {
            let Some(name) = name.strip_suffix("_bucket") else { continue };
            let mut labels = labels.clone();
            let bound: f64 = labels.remove("le").expect("a bucket has a bound").parse().expect("a number");
            largest.entry((name.to_owned(), labels)).or_default().push((bound, *value));
        }
        for ((name, labels), mut buckets) in largest {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{name}{labels:?}: {buckets:?}");
            let count = self.samples.get(&(format!("{name}_count"), labels));
            assert_eq!(buckets.last().map(|(bound, count)| (*bound, Some(count))), Some((f64::INFINITY, count)));
        }
    }

    /// The sum of all samples of this name that have these labels, among others.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |of: &Labels| labels.iter().all(|(key, value)| of.get(*key).is_some_and(|found| found == value));
        self.samples.iter().filter(|((found, of), _)| found == name && has(of)).map(|(_, value)| value).sum()
    }

    /// Every value that a label has.
    pub fn values_of(&self, label: &str) -> BTreeSet<&str> {
        self.samples.keys().filter_map(|(_, labels)| labels.get(label)).map(String::as_str).collect()
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with("ade_") && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// `a="b",c="d"`; no value here has a quote in it.
fn labels_of(text: &str) -> Labels {
    let pairs = text.split("\",").filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once("=\"").expect("a label has a value");
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    };
    pairs.map(pair).collect()
}
