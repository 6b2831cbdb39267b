//! What the service counts, in the text format of OpenMetrics, which Prometheus reads.
//!
//! Law: names are in base units (seconds, bytes), counters end in `_total`, and labels come from fixed lists: kinds,
//! statuses, patterns of routes, providers. Nothing that a client has named becomes a label.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::meter::Distribution;

/// Where the samples of a metric come from.
pub type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Writes metrics, one after the other.
pub struct Exposition<'a>(DescriptorEncoder<'a>);

impl Exposition<'_> {
    pub fn counter<'s, N: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'s>, N)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, N, u64>(&value, None)?;
        }
        Ok(())
    }

    pub fn gauge<'s, N: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'s>, N)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// A histogram of times.
    pub fn seconds<'s>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'s>, Distribution)>,
    ) -> fmt::Result {
        self.histogram(name, help, Some(&Unit::Seconds), samples)
    }

    /// A histogram of numbers of things.
    pub fn amounts<'s>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'s>, Distribution)>,
    ) -> fmt::Result {
        self.histogram(name, help, None, samples)
    }

    fn histogram<'s>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels<'s>, Distribution)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (labels, found) in samples {
            let mut sample = metric.encode_family(&labels)?;
            sample.encode_histogram::<NoLabelSet>(found.sum, found.count(), &found.buckets, None)?;
        }
        Ok(())
    }
}

/// The whole text; `write` gives the metrics.
pub fn exposition(
    write: impl Fn(&mut Exposition<'_>) -> fmt::Result + Send + Sync + 'static,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("ade");
    registry.register_collector(Box::new(Collector(write)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

struct Collector<F>(F);

impl<F> fmt::Debug for Collector<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl<F> prometheus_client::collector::Collector for Collector<F>
where
    F: Fn(&mut Exposition<'_>) -> fmt::Result + Send + Sync + 'static,
{
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut Exposition(encoder))
    }
}
