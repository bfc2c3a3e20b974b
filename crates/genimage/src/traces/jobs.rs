//! Writes the spans of jobs that end.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use hub_core::{error::UserError, ids::JobId, trace::TraceParent};
use hub_engine::{Engine, FeedEvent, FeedNews};
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
        Tracer as _,
    },
};
use opentelemetry_sdk::trace::SdkTracer;

use super::outline::{self, Stretch};

/// Follows the hub until it stops.
pub(super) async fn follow(engine: Engine, tracer: SdkTracer) {
    let mut reader = engine.follow_changes();
    while let Some(news) = reader.next().await {
        let event = match news {
            FeedNews::Event(_, event) => event,
            FeedNews::Anew(hub_engine::Anew::Start, _) => continue,
            FeedNews::Anew(why, _) => {
                tracing::warn!(?why, "jobs ended faster than their traces could be written; some have none");
                continue;
            }
        };
        let FeedEvent::Job(progress) = &*event else { continue };
        // The whole tells of its parts.
        if !progress.state.is_terminal() || progress.part_of.is_some() {
            continue;
        }
        if let Err(error) = tell(&engine, &tracer, progress.job).await {
            tracing::warn!(job = %progress.job, error = error.explain(), "a job's trace was not written");
        }
    }
}

async fn tell(engine: &Engine, tracer: &SdkTracer, id: JobId) -> Result<(), UserError> {
    let view = engine.view(id).await?;
    let history = engine.history(&view.job).await?;
    if let Some(life) = outline::of(&view, &history) {
        let parent = view.job.trace.map_or_else(Context::new, |trace| remote(&trace));
        write(tracer, &parent, life, SpanKind::Consumer);
    }
    Ok(())
}

/// The caller's span as a parent.
pub(super) fn remote(trace: &TraceParent) -> Context {
    let flags = if trace.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace_id, span_id) = (TraceId::from(trace.trace_id), SpanId::from(trace.span_id));
    Context::new().with_remote_span_context(SpanContext::new(trace_id, span_id, flags, true, TraceState::default()))
}

fn write(tracer: &SdkTracer, parent: &Context, stretch: Stretch, kind: SpanKind) {
    let mut span = tracer
        .span_builder(stretch.name)
        .with_kind(kind)
        .with_start_time(system(stretch.from))
        .with_attributes(stretch.attributes.into_iter().map(|(key, value)| KeyValue::new(key, value)))
        .start_with_context(tracer, parent);
    if let Some(error) = stretch.error {
        span.set_status(Status::error(error));
    }
    let within = parent.with_remote_span_context(span.span_context().clone());
    for inner in stretch.within {
        write(tracer, &within, inner, SpanKind::Internal);
    }
    span.end_with_timestamp(system(stretch.to));
}

fn system(time: DateTime<Utc>) -> SystemTime {
    SystemTime::from(time)
}
