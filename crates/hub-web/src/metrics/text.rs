//! Prometheus' text format.

use std::fmt::{Display, Write as _};

/// How often values were at most each bound.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    sum: f64,
    count: u64,
}

impl Histogram {
    /// Counts a value.
    pub(super) fn add(&mut self, bounds: &[f64], value: f64) {
        self.counts.resize(bounds.len(), 0);
        for (count, bound) in self.counts.iter_mut().zip(bounds) {
            *count += u64::from(value <= *bound);
        }
        self.sum += value;
        self.count += 1;
    }
}

/// The page of metrics as it is written.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    name: &'static str,
}

impl Text {
    /// Begins a metric.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One value of the metric.
    pub(super) fn line(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let (name, labels) = (self.name, labelled(labels, None));
        self.push(format_args!("{name}{labels} {value}\n"));
    }

    /// One histogram of the metric.
    pub(super) fn histogram(&mut self, labels: &[(&str, &str)], bounds: &[f64], histogram: &Histogram) {
        let name = self.name;
        for (at, bound) in bounds.iter().enumerate() {
            let count = histogram.counts.get(at).copied().unwrap_or(0);
            let labels = labelled(labels, Some(&bound.to_string()));
            self.push(format_args!("{name}_bucket{labels} {count}\n"));
        }
        let (all, plain) = (labelled(labels, Some("+Inf")), labelled(labels, None));
        let (sum, count) = (histogram.sum, histogram.count);
        self.push(format_args!("{name}_bucket{all} {count}\n{name}_sum{plain} {sum}\n{name}_count{plain} {count}\n"));
    }

    pub(super) fn into_string(self) -> String {
        self.text
    }

    fn push(&mut self, arguments: std::fmt::Arguments<'_>) {
        // A String takes everything.
        let _ = self.text.write_fmt(arguments);
    }
}

fn labelled(labels: &[(&str, &str)], bound: Option<&str>) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
    let texts: Vec<String> = all.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if texts.is_empty() { String::new() } else { format!("{{{}}}", texts.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_histograms_are_written_as_prometheus_reads_them() {
        let mut text = Text::default();
        text.family("jobs", "gauge", "Jobs.");
        text.line(&[("caller", "a\"b\\c\nd")], 3);
        text.line(&[], 1.5);
        let mut histogram = Histogram::default();
        for value in [0.5, 1.0, 7.0] {
            histogram.add(&[1.0, 5.0], value);
        }
        text.family("wait", "histogram", "Waits.");
        text.histogram(&[("x", "y")], &[1.0, 5.0], &histogram);
        assert_eq!(
            text.into_string(),
            "# HELP jobs Jobs.\n# TYPE jobs gauge\njobs{caller=\"a\\\"b\\\\c\\nd\"} 3\njobs 1.5\n\
             # HELP wait Waits.\n# TYPE wait histogram\nwait_bucket{x=\"y\",le=\"1\"} 2\nwait_bucket{x=\"y\",le=\"5\"} 2\n\
             wait_bucket{x=\"y\",le=\"+Inf\"} 3\nwait_sum{x=\"y\"} 8.5\nwait_count{x=\"y\"} 3\n"
        );
    }
}
